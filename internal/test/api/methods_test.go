package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestOddMethods walks every route of both listeners with methods that it takes
// and that it does not (ASVS 4.1.4).
func TestOddMethods(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "ADMIN_PPROF=true", "SECURITY_CONTACT=mailto:security@example.org", termsFile(t))
	public := map[string][]string{
		"/setup": {"GET", "HEAD", "POST"}, "/login": {"GET", "HEAD", "POST"}, "/logout": {"GET", "HEAD", "POST"}, "/account": {"GET", "HEAD", "POST"},
		"/": {"GET", "HEAD"}, "/favicon.ico": {"GET", "HEAD"}, "/robots.txt": {"GET", "HEAD"}, "/.well-known/security.txt": {"GET", "HEAD"},
		"/assets/icon.svg": {"GET", "HEAD"}, "/privacy": {"GET", "HEAD"}, "/terms": {"GET", "HEAD"}, "/unlock": {"GET", "HEAD", "POST"},
		"/register": {"GET", "HEAD", "POST"}, "/verify": {"GET", "HEAD", "POST"}, "/forgot": {"GET", "HEAD", "POST"}, "/reset": {"GET", "HEAD", "POST"},
		"/not-me": {"GET", "HEAD", "POST"}, "/undo": {"GET", "HEAD", "POST"}, "/.well-known/change-password": {"GET", "HEAD"},
		"/dev/mail": {"GET", "HEAD"},
	}
	documented := harness.Document().Doc.Paths.Map()
	for path, item := range documented {
		at := []string{strings.NewReplacer("{id}", "x", "{document}", "terms").Replace(path)}
		if parent, ok := strings.CutSuffix(path, "/{id}"); ok { // a word in the place of an id is one to the other methods
			for other := range documented {
				if word, ok := strings.CutPrefix(other, parent+"/"); ok && word != "{id}" && !strings.Contains(word, "/") {
					at = append(at, other)
				}
			}
		}
		for method := range item.Operations() {
			for _, path := range at {
				if public[path] = append(public[path], method); method == "GET" {
					public[path] = append(public[path], "HEAD")
				}
			}
		}
	}
	admin := map[string][]string{}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/", "/debug/pprof/goroutine"} {
		admin[path] = []string{"GET", "HEAD"}
	}
	methods := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "POSTX", "*"}
	for base, routes := range map[string]map[string][]string{h.App.URL(): public, h.App.AdminURL(): admin} {
		for path, allowed := range routes {
			slices.Sort(allowed)
			allowed = slices.Compact(allowed)
			for _, method := range methods {
				res := harness.SendRaw(t, base, method, path, "")
				body := res.Text
				takes := slices.Contains(allowed, method)
				switch {
				case res.Status >= 500:
					t.Errorf("%s %s: %d %s", method, path, res.Status, body)
				case takes && (res.Status == 405 || res.Status == 404):
					t.Errorf("%s %s is documented, and answered %d", method, path, res.Status)
				case !takes && (res.Status != 405 || res.Header.Get("Allow") != strings.Join(allowed, ", ")):
					t.Errorf("%s %s: %d, allowed %q, want 405 and %q", method, path, res.Status, res.Header.Get("Allow"), allowed)
				case !takes && method != "HEAD" && !strings.Contains(body, `"code":"method_not_allowed"`):
					t.Errorf("%s %s: %s", method, path, body)
				}
			}
		}
		// What is on the other listener, or nowhere.
		for _, path := range []string{"*", "//", "/healthz/", "/metrics/x", "/debug/", "/debug/vars", "/v1", "/admin/x", "/dev/mails", "/.env", "/%2e%2e/metrics"} {
			for _, method := range []string{"GET", "POST", "OPTIONS", "TRACE"} {
				if path == "*" && method != "OPTIONS" {
					continue
				}
				if res := harness.SendRaw(t, base, method, path, ""); res.Status != 404 || !strings.Contains(res.Text, `"code":"not_found"`) {
					t.Errorf("%s %s%s: %d %s", method, base, path, res.Status, res.Text)
				}
			}
		}
		for other, theirs := range map[string]map[string][]string{h.App.URL(): public, h.App.AdminURL(): admin} {
			for path := range theirs {
				if res := harness.SendRaw(t, base, "GET", path, ""); other != base && res.Status != 404 {
					t.Errorf("GET %s%s: %d, and it belongs to the other listener", base, path, res.Status)
				}
			}
		}
	}
}

func TestProfilesAreServedOnlyBySetting(t *testing.T) {
	with, without := harness.Open(t, dbtest.SQLite(t), "ADMIN_PPROF=true"), harness.Open(t, dbtest.SQLite(t))
	for path, want := range map[string]string{
		"/debug/pprof/": "heap", "/debug/pprof/goroutine?debug=1": "goroutine profile:", "/debug/pprof/heap": "\x1f\x8b",
		"/debug/pprof/profile?seconds=1": "\x1f\x8b", "/debug/pprof/trace?seconds=0.1": "go 1.",
	} {
		if res := harness.SendRaw(t, with.App.AdminURL(), "GET", path, ""); res.Status != 200 || !strings.Contains(res.Text, want) {
			t.Errorf("%s: %d %.100q", path, res.Status, res.Text)
		}
		for _, base := range []string{with.App.URL(), without.App.URL(), without.App.AdminURL()} {
			if res := harness.SendRaw(t, base, "GET", path, ""); res.Status != 404 {
				t.Errorf("%s%s: %d", base, path, res.Status)
			}
		}
	}
}
