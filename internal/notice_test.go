package internal_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What the binary is linked with, and go.mod names, stands in NOTICE.
func TestNoticeNamesWhatIsLinked(t *testing.T) {
	notice, err := os.ReadFile("../NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Indirect}}{{.Path}}{{end}}{{end}}", "../cmd/gatehouse").Output()
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{"github.com/gatehouse-auth/gatehouse": true}
	for _, path := range strings.Fields(string(out)) {
		name := path
		if host, _, ok := strings.Cut(path, "/"); ok && host == "go.opentelemetry.io" {
			name = host
		}
		if short, ok := strings.CutPrefix(path, "golang.org/x/"); ok {
			name = short
		}
		if !listed[path] && !strings.Contains(string(notice), name) {
			t.Errorf("NOTICE does not name %s", path)
		}
		listed[path] = true
	}
}
