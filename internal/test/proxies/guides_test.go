package proxies_test

import (
	"flag"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
	"github.com/gatehouse-auth/gatehouse/internal/test/proctest"
)

var updateGuides = flag.Bool("update-guides", false, "write Gatehouse's own paths, and nginx's block, into the guides of the proxies")

// ownExpression finds the expression of Gatehouse's own paths.
var ownExpression = regexp.MustCompile(`\^/\([^\s` + "`" + `]*\)\$`)

// TestCaseF1_GuidesNameGatehousesOwnPaths: one list, of what the doors register, feeds the guides of all
// proxies and `gatehouse nginx`. With -update-guides it is written there.
func TestCaseF1_GuidesNameGatehousesOwnPaths(t *testing.T) {
	for name, times := range map[string]int{"nginx.md": 1, "caddy.md": 1, "traefik.md": 2} {
		path := proctest.File("docs/guides/" + name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text, want := string(b), string(b)
		if name == "nginx.md" {
			part := strings.Split(text, "# ---\n")
			want = part[0] + "# ---\n" + app.NginxGuard("127.0.0.1:8000", "127.0.0.1:8080") + "# ---\n" + part[len(part)-1]
		}
		want = ownExpression.ReplaceAllLiteralString(want, app.OwnPathsExpression())
		if n := strings.Count(want, app.OwnPathsExpression()); n != times {
			t.Errorf("%s has the expression %d times, want %d", name, n, times)
		}
		if text == want {
			continue
		}
		if !*updateGuides {
			t.Errorf("%s is not what the code says: go test ./internal/test/proxies -run %s -update-guides", name, t.Name())
			continue
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCaseB1_OwnPathsAreTheContracts: what the doors register is what an application behind the proxy was told
// that it can't have, and nothing more; matched to the end.
func TestCaseB1_OwnPathsAreTheContracts(t *testing.T) {
	contract := []string{
		"/login", "/register", "/verify", "/forgot", "/reset", "/not-me", "/undo", "/unlock", "/account", "/admin", "/setup", "/privacy", "/terms", "/logout",
		"/v1/", "/.well-known/", "/assets/", "/openapi.json",
	}
	own := app.OwnPaths()
	for _, path := range contract {
		if !slices.Contains(own, path) {
			t.Errorf("%s is not among Gatehouse's own paths", path)
		}
	}
	expression := regexp.MustCompile(app.OwnPathsExpression())
	for path, want := range map[string]bool{
		"/login": true, "/verify": true, "/v1/me": true, "/assets/icon.svg": true, "/.well-known/jwks.json": true, "/openapi.json": true,
		"/": false, "/accounting": false, "/accounting/ledger": false, "/login-help": false, "/logout-survey": false, "/v10/x": false, "/v1": false,
		"/openapixjson": false, "/dev/mail": false, "/app/login": false, "/LOGIN": false, "/not-me/": false,
	} {
		if got := expression.MatchString(path); got != want {
			t.Errorf("%s is Gatehouse's: %v", path, got)
		}
	}
}

// TestAttack7_EveryBlockWritesWhatIsBelieved: each header that Gatehouse believes from a trusted proxy is written or
// emptied by every block that is printed or documented, towards Gatehouse.
func TestAttack7_EveryBlockWritesWhatIsBelieved(t *testing.T) {
	believed := []string{
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri", "X-Forwarded-Method", "Forwarded", "CF-Connecting-IP", "traceparent",
		"tracestate",
	}
	printed, err := os.ReadFile(proctest.File("internal/app/nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"nginx.md": harness.Guide(t, "nginx.md"), "own-hosts.md": harness.Guide(t, "own-hosts.md"),
		"administration.md": harness.Guide(t, "administration.md"), "nginx.conf": string(printed),
		"--guard": app.NginxGuard("gatehouse", "127.0.0.1:8080")} {
		blocks := regexp.MustCompile(`(?s)location [^{\n]*\{\n.*?\n *\}\n`).FindAllString(text, -1)
		towards := 0
		for _, block := range blocks {
			if !regexp.MustCompile(`proxy_pass http://(gatehouse|127\.0\.0\.1:8000)`).MatchString(block) {
				continue
			}
			towards++
			for _, header := range believed {
				if n := strings.Count(block, "proxy_set_header "+header+" "); n != 1 {
					t.Errorf("%s says %d times what %s is:\n%s", name, n, header, block)
				}
			}
		}
		if towards == 0 {
			t.Errorf("%s has no location of Gatehouse's", name)
		}
	}
	// Caddy and Traefik write those of the first line themselves.
	for name, own := range map[string][]string{"caddy.md": {"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"},
		"traefik.md": {"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"}, "own-hosts.md": {"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"}} {
		text := fenced(t, "own-hosts.md", "caddyfile")
		if name != "own-hosts.md" {
			text = harness.Guide(t, name)
		}
		for _, header := range believed {
			if slices.Contains(own, header) {
				continue
			}
			n := strings.Count(text, "header_up -"+header+"\n") + strings.Count(text, "request_header -"+header+"\n") + strings.Count(text, header+`: ""`)
			if n == 0 {
				t.Errorf("%s lets %s through as the client sent it", name, header)
			}
		}
	}
}

// believing are headers of a client that claims what only a proxy may say.
func believing() http.Header {
	return http.Header{
		"X-Forwarded-For": {"203.0.113.66"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Uri": {"/evil"},
		"X-Forwarded-Method": {"DELETE"},
		"Forwarded":          {"for=203.0.113.66;proto=http"}, "Cf-Connecting-Ip": {"203.0.113.66"},
		"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, "Tracestate": {"a=b"},
	}
}
