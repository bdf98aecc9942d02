package session_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTheBrokenStatementIsBrokenInOnePlace keeps the statement of the tag
// brokencas beside the real one, so that nothing but the compare-and-set can be
// what a checker finds in it.
func TestTheBrokenStatementIsBrokenInOnePlace(t *testing.T) {
	statement := func(file string) string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, sql, ok := strings.Cut(string(b), "const rotate = ")
		if !ok {
			t.Fatalf("%s holds no statement", file)
		}
		return sql
	}
	mended := strings.ReplaceAll(statement("rotate_broken.go"), "(cur = $2 OR prev = $2)", "cur = $2")
	if diff := cmp.Diff(statement("rotate_sql.go"), mended); diff != "" {
		t.Errorf("the broken statement differs in more than the comparison:\n%s", diff)
	}
}
