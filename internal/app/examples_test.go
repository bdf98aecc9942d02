package app_test

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTheSampleApplicationInGo runs examples/go as its reader would, against a
// server found by its metadata.
func TestTheSampleApplicationInGo(t *testing.T) {
	h := open(t, "sqlite:"+filepath.Join(t.TempDir(), "gatehouse.db"))
	c, shown, err := h.operator().CreateClient(t.Context(), "shop", originOfTests)
	if err != nil {
		t.Fatal(err)
	}
	program, secret := filepath.Join(t.TempDir(), "application"), filepath.Join(t.TempDir(), "secret")
	if out, err := exec.Command("go", "build", "-o", program, "../../examples/go").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(secret, []byte(shown+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-listen", "127.0.0.1:0", "-issuer", h.server.URL(), "-client", c.ID, "-secret-file", secret)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	get := func(path, access string) int {
		t.Helper()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSpace(line)+path, nil)
		if access != "" {
			r.Header.Set("Authorization", "Bearer "+access)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	h.register("ada@example.org")
	access := h.login("ada@example.org").str("access_token")
	h.eventually("the application", func() (string, bool) { s := get("/hello", access); return http.StatusText(s), s == 200 })
	if s := get("/admin", access); s != 403 {
		t.Errorf("without the role: %d", s)
	}
	for _, bad := range []string{"", access + "x"} {
		if s := get("/hello", bad); s != 401 {
			t.Errorf("the token %q: %d", bad, s)
		}
	}
	h.expect(204, "", request{method: "POST", path: "/v1/logout", bearer: access})
	at := time.Now()
	for get("/hello", access) != 401 {
		if time.Since(at) > 10*time.Second {
			t.Fatal("the application still takes a revoked token")
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("it took %v", time.Since(at))
}
