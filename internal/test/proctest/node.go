package proctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Modules returns the folder of the modules of examples/node.
func Modules(t testing.TB) string {
	t.Helper()
	out, err := exec.Command(File("scripts/node")).Output()
	if err != nil {
		t.Fatalf("scripts/node: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// Node returns what runs a script in Node, in a folder with the modules of examples/node.
func Node(t testing.TB, script string, args ...string) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(Modules(t), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "main.mjs"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", append([]string{"main.mjs"}, args...)...)
	cmd.Dir = dir
	return cmd
}
