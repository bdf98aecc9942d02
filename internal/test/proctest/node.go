package proctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Node returns what runs a script in Node, in a folder with the modules of examples/node.
func Node(t testing.TB, script string, args ...string) *exec.Cmd {
	t.Helper()
	out, err := exec.Command(File("scripts/node")).Output()
	if err != nil {
		t.Fatalf("scripts/node: %v", err)
	}
	dir := t.TempDir()
	if err := os.Symlink(strings.TrimSpace(string(out)), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.mjs"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", append([]string{"main.mjs"}, args...)...)
	cmd.Dir = dir
	return cmd
}
