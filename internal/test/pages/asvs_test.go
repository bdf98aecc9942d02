package pages_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// pagesOfHouse are pages that anybody can open, and what they load.
var pagesOfHouse = []string{"/login", "/register", "/forgot", "/reset", "/verify", "/setup", "/unlock", "/undo", "/not-me"}

// Every answer says what it is, with its charset (V4.1.1), no page tells another
// site where somebody was (V3.4.5), and the files that pages load are nobody's in
// particular (V3.5.7), and are not listed (V13.4.3).
func TestASVS_V3_4_5_V3_5_7_V4_1_1_V13_4_3_PagesAndAssets(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	h.Register("ada@example.org")
	b := h.Browser()
	b.SignIn("ada@example.org")
	assets := map[string]string{}
	for _, path := range append(pagesOfHouse, "/account") {
		a := b.Send(harness.Request{Method: "GET", Path: path})
		if got := a.Header.Get("Content-Type"); a.Status != 303 && got != "text/html; charset=utf-8" {
			t.Errorf("%s: %d %q", path, a.Status, got)
		}
		if got := a.Header.Get("Referrer-Policy"); got != "same-origin" && got != "no-referrer" {
			t.Errorf("%s: Referrer-Policy %q", path, got)
		}
		for _, part := range strings.Split(a.Text, `<link rel="stylesheet" href="`)[1:] {
			href, _, _ := strings.Cut(part, `"`)
			assets[href] = "text/css; charset=utf-8"
		}
		for _, part := range strings.Split(a.Text, `src="`)[1:] {
			src, _, _ := strings.Cut(part, `"`)
			assets[src] = "text/javascript; charset=utf-8"
		}
	}
	if len(assets) < 3 {
		t.Errorf("the pages load only %v", assets)
	}
	for path, kind := range assets {
		mine, anyones := b.Send(harness.Request{Method: "GET", Path: path}), h.Do(harness.Request{Method: "GET", Path: path})
		if mine.Status != 200 || mine.Header.Get("Content-Type") != kind {
			t.Errorf("%s: %d %q", path, mine.Status, mine.Header.Get("Content-Type"))
		}
		if mine.Text != anyones.Text || len(mine.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s is not the same for whoever is signed in", path)
		}
	}
	for _, path := range []string{"/assets", "/assets/", "/assets/.", "/assets/..", "/assets/page", "/templates/login.html",
		"/assets/%2e%2e/templates/login.html"} {
		if a := h.Do(harness.Request{Method: "GET", Path: path}); a.Status != 404 || !strings.HasPrefix(a.Header.Get("Content-Type"), "application/problem+json") {
			t.Errorf("%s: %d %s", path, a.Status, a.Text)
		}
	}
	for _, path := range []string{"/.well-known/jwks.json", "/openapi.json", "/v1/me", "/nothing"} {
		if got := h.Do(harness.Request{Method: "GET", Path: path}).Header.Get("Content-Type"); !slices.Contains([]string{
			"application/json", "application/json; charset=utf-8", "application/problem+json", "application/problem+json; charset=utf-8", "application/jwk-set+json",
		}, got) {
			t.Errorf("%s is %q", path, got)
		}
	}
}

// What answers a program is no page, even if somebody opens it as one (V3.2.1), and
// what ends a session has the browser forget what it showed (V14.3.1).
func TestASVS_V3_2_1_V14_3_1_AnswersAreNoPagesAndSignOutClears(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	h.Register("ada@example.org")
	for _, path := range []string{"/v1/me", "/openapi.json", "/.well-known/jwks.json", "/nothing", "/assets/icon.svg"} {
		if csp := h.Do(harness.Request{Method: "GET", Path: path}).Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") ||
			!strings.HasSuffix(csp, "; sandbox") {
			t.Errorf("%s: %s", path, csp)
		}
	}
	b := h.Browser()
	for name, leave := range map[string]func() harness.Answer{
		"by the API": func() harness.Answer {
			return b.Send(harness.Request{Method: "POST", Path: "/v1/logout", Header: b.Csrf()})
		},
		"by the page": func() harness.Answer {
			return b.Send(harness.Press("/logout", harness.Body{"csrf_token": b.Cookie("gatehouse_csrf")}))
		},
	} {
		b.SignIn("ada@example.org")
		a := leave()
		if a.Status >= 400 || a.Header.Get("Clear-Site-Data") != `"cache"` || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %q", name, a.Status, a.Header)
		}
		if b.Cookie("gatehouse_rt") != "" || b.Cookie("gatehouse_at") != "" {
			t.Errorf("%s: the cookies of the session are left", name)
		}
	}
	b.SignIn("ada@example.org")
	if a := b.Send(harness.Request{Method: "GET", Path: "/account"}); a.Header.Get("Clear-Site-Data") != "" {
		t.Error("a page clears what the browser keeps")
	}
}
