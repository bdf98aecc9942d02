package proxies_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

// caddy starts a real one with the guide's configuration.
func caddy(t *testing.T, listens, gatehouse, app string) {
	t.Helper()
	caddyWith(t, listens, fmt.Sprintf("http://%s {\n%s}\n", listens, harness.Guide(t, "caddy.md", "127.0.0.1:8000", gatehouse, "127.0.0.1:8080", app)))
}

// caddyWith starts one with sites.
func caddyWith(t *testing.T, listens, sites string) {
	t.Helper()
	if out, err := exec.Command("make", "-s", "-C", proctest.File("."), ".cache/bin/caddy").CombinedOutput(); err != nil {
		t.Fatalf("building Caddy: %v: %s", err, out)
	}
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv("XDG_DATA_HOME", dir)
	conf := "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}\n" + sites
	path := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.StartProgram(t, listens, proctest.File(".cache/bin/caddy"), "run", "--adapter", "caddyfile", "--config", path)
}

func TestForwardAuthBehindCaddy(t *testing.T) {
	listens := harness.FreePort(t)
	h := harness.Open(t, dbtest.SQLite(t), "PUBLIC_URL=http://"+listens, "TRUSTED_PROXIES=127.0.0.1")
	app, asked := behind(t)
	caddy(t, listens, strings.TrimPrefix(h.App.URL(), "http://"), app)
	p := proxied{t, "http://" + listens, asked}
	p.guards(h)
	if status, _, _ := p.do("GET", "/login", nil); status != 200 {
		t.Errorf("the sign-in page: %d", status)
	}
	if to := p.refused("a newline", 302, "GET", "/app%0d%0aSet-Cookie:a=b", http.Header{"Accept": {"text/html"}}); !strings.HasPrefix(to, p.base+"/login") ||
		strings.ContainsAny(to, "\r\n") {
		t.Errorf("a newline of the client's: %q", to)
	}
	header := http.Header{"X_Auth_User": {"root"}, "Authorization": {"Bearer " + h.Login("ada@example.org").Str("access_token")}}
	if status, _, body := p.do("GET", "/app", header); status != 200 || strings.Contains(body, "root") {
		t.Errorf("a header with underscores: %d %s", status, body)
	}
	p.refused("the check itself", 404, "GET", "/v1/forward-auth", nil)
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	p.refused("without Gatehouse", 502, "GET", "/app", nil)
}
