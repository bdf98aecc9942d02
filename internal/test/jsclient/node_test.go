package jsclient_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// In Node: a second factor, sixteen requests that find the token expired and lose two answers,
// a body that is sent twice, a gateway's 401, who gets the token, and a page over plain http.
func TestNode(t *testing.T) {
	clock := &harness.Clock{}
	h := harness.OpenAt(t, dbtest.SQLite(t), clock.Now)
	app := h.AddApp(clock, "ada@example.org")
	n, others := newNetwork(t), newNetwork(t)
	n.before(h)
	c := exec.Command("node", "testdata/node.mjs", proctest.File("clients/js/gatehouse.js"), n.URL, n.URL+"/app/api", others.URL+"/app/api")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	c.Stderr = &complaints
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	last := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		answer := ""
		switch last = lines.Text(); last {
		case "password":
			answer = harness.Passphrase
		case "code":
			app.Next()
			answer = app.Code(0)
		case "wrong":
			if sent, refreshed := n.count("/v1/factors/totp/confirm"), n.count("/v1/token/refresh"); sent != 1 || refreshed != 0 {
				t.Errorf("a wrong code was sent %d times, with %d refreshes", sent, refreshed)
			}
		case "expire":
			clock.Shift(16 * time.Minute)
			n.loses("/v1/token/refresh", 2)
			n.count("/v1/token/refresh")
		case "refreshed":
			if refreshed := n.count("/v1/token/refresh"); refreshed != 3 {
				t.Errorf("sixteen requests, two answers lost: %d refreshes", refreshed)
			}
		case "gateway":
			clock.Shift(16 * time.Minute)
			n.loses("/v1/token/refresh", -401)
		case "no gateway":
			n.loses("/v1/token/refresh", 0)
		}
		if last != "done" {
			_, _ = io.WriteString(in, answer+"\n")
		}
	}
	if last != "done" {
		t.Fatalf("it ended after %q:\n%s", last, &complaints)
	}
	if len(n.bearers) != 1 || !strings.HasPrefix(n.bearers[0], "Bearer ey") || len(others.bearers) != 1 || others.bearers[0] != "" {
		t.Errorf("the token went to %d and %d: %q", len(n.bearers), len(others.bearers), others.bearers)
	}
}

// The package has no dependency, and is small: under 8 KB as it travels, even unminified.
func TestThePackage(t *testing.T) {
	read := func(name string) []byte {
		t.Helper()
		text, err := os.ReadFile(proctest.File(filepath.Join("clients", "js", name)))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	var manifest map[string]any
	if err := json.Unmarshal(read("package.json"), &manifest); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dependencies", "peerDependencies", "optionalDependencies", "devDependencies", "scripts", "bin"} {
		if manifest[name] != nil {
			t.Errorf("package.json has %s", name)
		}
	}
	script := read("gatehouse.js")
	if regexp.MustCompile(`\b(import|require)\s*[({"']`).Match(script) {
		t.Error("it imports something")
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(script)
	_ = z.Close()
	if packed.Len() > 5<<10 || len(script) > 14<<10 {
		t.Errorf("it has %d bytes, %d compressed", len(script), packed.Len())
	}
	// The types name what there is, and nothing else.
	methods := func(text string) map[string]bool {
		all := map[string]bool{}
		for _, m := range regexp.MustCompile(`(?m)^  (?:async )?([a-z]\w+)\([^\n]*`).FindAllStringSubmatch(text, -1) {
			all[m[1]] = true
		}
		delete(all, "constructor")
		return all
	}
	_, class, _ := strings.Cut(string(script), "class Gatehouse extends")
	_, types, _ := strings.Cut(string(read("gatehouse.d.ts")), "class Gatehouse extends")
	there, typed := methods(class), methods(types)
	for name := range there {
		if !typed[name] {
			t.Errorf("gatehouse.d.ts does not name %s", name)
		}
		delete(typed, name)
	}
	if len(there) < 25 || len(typed) > 0 {
		t.Errorf("%d methods; these are typed and not there: %v", len(there), typed)
	}
}
