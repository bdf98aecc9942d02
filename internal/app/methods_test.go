package app_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// send writes one request to a listener as it stands, which no client would, and
// reads the answer.
func send(t *testing.T, base, method, path, more string) answer {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n", method, path, u.Host, more)
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{status: res.StatusCode, header: res.Header, text: string(body)}
}

// TestOddMethods walks every route of both listeners with methods that it takes
// and that it does not (ASVS 4.1.4).
func TestOddMethods(t *testing.T) {
	h := open(t, dbtest.SQLite(t), "ADMIN_PPROF=true", "SECURITY_CONTACT=mailto:security@example.org")
	public := map[string][]string{
		"/setup": {"GET", "HEAD", "POST"}, "/login": {"GET", "HEAD", "POST"}, "/logout": {"GET", "HEAD", "POST"}, "/account": {"GET", "HEAD", "POST"},
		"/": {"GET", "HEAD"}, "/favicon.ico": {"GET", "HEAD"}, "/robots.txt": {"GET", "HEAD"}, "/.well-known/security.txt": {"GET", "HEAD"},
		"/assets/setup.js": {"GET", "HEAD"}, "/unlock": {"GET", "HEAD", "POST"},
		"/register": {"GET", "HEAD", "POST"}, "/verify": {"GET", "HEAD", "POST"}, "/forgot": {"GET", "HEAD", "POST"}, "/reset": {"GET", "HEAD", "POST"},
		"/not-me": {"GET", "HEAD", "POST"}, "/undo": {"GET", "HEAD", "POST"}, "/.well-known/change-password": {"GET", "HEAD"}, "/assets/email-link.js": {"GET", "HEAD"},
		"/dev/mail": {"GET", "HEAD"},
	}
	for path, item := range document.doc.Paths.Map() {
		path = strings.ReplaceAll(path, "{id}", "x")
		for method := range item.Operations() {
			if public[path] = append(public[path], method); method == "GET" {
				public[path] = append(public[path], "HEAD")
			}
		}
	}
	admin := map[string][]string{}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/", "/debug/pprof/goroutine"} {
		admin[path] = []string{"GET", "HEAD"}
	}
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "POSTX", "*"}
	for base, routes := range map[string]map[string][]string{h.server.URL(): public, h.server.AdminURL(): admin} {
		for path, allowed := range routes {
			slices.Sort(allowed)
			for _, method := range methods {
				res := send(t, base, method, path, "")
				body := res.text
				takes := slices.Contains(allowed, method)
				switch {
				case res.status >= 500:
					t.Errorf("%s %s: %d %s", method, path, res.status, body)
				case takes && (res.status == 405 || res.status == 404):
					t.Errorf("%s %s is documented, and answered %d", method, path, res.status)
				case !takes && (res.status != 405 || res.header.Get("Allow") != strings.Join(allowed, ", ")):
					t.Errorf("%s %s: %d, allowed %q, want 405 and %q", method, path, res.status, res.header.Get("Allow"), allowed)
				case !takes && method != "HEAD" && !strings.Contains(body, `"code":"method_not_allowed"`):
					t.Errorf("%s %s: %s", method, path, body)
				}
			}
		}
		// What is on the other listener, or nowhere.
		for _, path := range []string{"*", "//", "/healthz/", "/metrics/x", "/debug/", "/debug/vars", "/v1", "/admin", "/dev/mails", "/.env", "/%2e%2e/metrics"} {
			for _, method := range []string{"GET", "POST", "OPTIONS", "TRACE"} {
				if path == "*" && method != "OPTIONS" {
					continue
				}
				if res := send(t, base, method, path, ""); res.status != 404 || !strings.Contains(res.text, `"code":"not_found"`) {
					t.Errorf("%s %s%s: %d %s", method, base, path, res.status, res.text)
				}
			}
		}
		for other, theirs := range map[string]map[string][]string{h.server.URL(): public, h.server.AdminURL(): admin} {
			for path := range theirs {
				if res := send(t, base, "GET", path, ""); other != base && res.status != 404 {
					t.Errorf("GET %s%s: %d, and it belongs to the other listener", base, path, res.status)
				}
			}
		}
	}
}

func TestProfilesAreServedOnlyBySetting(t *testing.T) {
	with, without := open(t, dbtest.SQLite(t), "ADMIN_PPROF=true"), open(t, dbtest.SQLite(t))
	for path, want := range map[string]string{
		"/debug/pprof/": "heap", "/debug/pprof/goroutine?debug=1": "goroutine profile:", "/debug/pprof/heap": "\x1f\x8b",
		"/debug/pprof/profile?seconds=1": "\x1f\x8b", "/debug/pprof/trace?seconds=0.1": "go 1.",
	} {
		if res := send(t, with.server.AdminURL(), "GET", path, ""); res.status != 200 || !strings.Contains(res.text, want) {
			t.Errorf("%s: %d %.100q", path, res.status, res.text)
		}
		for _, base := range []string{with.server.URL(), without.server.URL(), without.server.AdminURL()} {
			if res := send(t, base, "GET", path, ""); res.status != 404 {
				t.Errorf("%s%s: %d", base, path, res.status)
			}
		}
	}
}
