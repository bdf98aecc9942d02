package internal_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTheReadmesSessionWorks runs the README's curl session, word for word, on
// a server that was started as it says, and looks for the answers it promises
// behind "#>", in their order.
func TestTheReadmesSessionWorks(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```sh session\n(.*?)```").FindSubmatch(readme)
	if found == nil {
		t.Fatal("README.md has no block ```sh session")
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "gatehouse")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/gatehouse").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	address := freeAddress(t)
	server := exec.Command(binary, "serve")
	server.Dir = dir
	server.Env = append(os.Environ(), "LISTEN_ADDR="+address, "ADMIN_LISTEN_ADDR="+freeAddress(t))
	log := &strings.Builder{}
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		if err := server.Wait(); err != nil {
			t.Errorf("the server did not stop well: %v\n%s", err, log)
		}
	})
	waitFor(t, address)

	session := exec.Command("bash", "-euo", "pipefail", "-c", strings.ReplaceAll(string(found[1]), "127.0.0.1:8000", address))
	session.Dir = dir
	out, err := session.CombinedOutput()
	if err != nil {
		t.Fatalf("the session failed: %v\n%s", err, out)
	}
	rest := string(out)
	for line := range strings.Lines(string(found[1])) {
		promise, ok := strings.CutPrefix(line, "#> ")
		if !ok {
			continue
		}
		promise = strings.TrimSpace(promise)
		at := strings.Index(rest, promise)
		if at < 0 {
			t.Fatalf("the README promises %s, and the session says:\n%s", promise, out)
		}
		rest = rest[at+len(promise):]
	}
}

// freeAddress returns an address on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// waitFor returns when somebody listens on the address.
func waitFor(t *testing.T, address string) {
	t.Helper()
	for range 600 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("nobody listens on %s", address)
}
