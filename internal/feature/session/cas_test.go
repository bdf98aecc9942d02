package session_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTheBrokenStatementIsBrokenInOnePlace keeps the statement of the tag
// brokencas next to the real one, so that nothing but the compare-and-set can be
// what a checker finds in it.
func TestTheBrokenStatementIsBrokenInOnePlace(t *testing.T) {
	statement := func(file string) string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sql := regexp.MustCompile("(?s)`UPDATE session SET.*?`").Find(b)
		if sql == nil {
			t.Fatalf("%s holds no statement", file)
		}
		return string(sql)
	}
	mended := strings.ReplaceAll(statement("cas_broken.go"), "(cur = $2 OR prev = $2)", "cur = $2")
	if diff := cmp.Diff(statement("rotate.go"), mended); diff != "" {
		t.Errorf("the broken statement differs in more than the comparison:\n%s", diff)
	}
}
