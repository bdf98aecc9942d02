package proxies_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// opens asks for one of ours as a browser does.
func opens(b *harness.Browser, path string, more ...string) harness.Answer {
	b.Helper()
	h := http.Header{"Accept": {"text/html"}}
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return b.Send(harness.Request{Method: "GET", Path: path, Header: h})
}

// TestCaseC12_NobodyIsAskedTwice: whoever is signed in goes on, from wherever the link came, to wherever it leads.
func TestCaseC12_NobodyIsAskedTwice(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "CORS_ORIGINS=https://app.example")
	h.Register("ada@example.org")
	b := h.Browser()
	b.SignIn("ada@example.org")
	for path, to := range map[string]string{
		"/login": "/account", "/login?return_to=%2Fapp": "/app", "/login?return_to=https%3A%2F%2Fapp.example%2Fdash%3Fa%3Db": "https://app.example/dash?a=b",
		"/login?utm_source=mail": "/account", "/login?return_to=%2F%2Fevil.example": "/account", "/login?rd=x;y&return_to=/a;b=1": "/a;b=1",
	} {
		for _, access := range []bool{true, false} {
			if !access {
				expire(b)
			}
			if a := opens(b, path); a.Status != 303 || a.Header.Get("Location") != to {
				t.Errorf("%s, with an access token: %v: %d %q", path, access, a.Status, a.Header.Get("Location"))
			}
			b.Jar.SetCookies(b.Origin(), []*http.Cookie{{Name: "gatehouse_on", MaxAge: -1, Path: "/"}})
		}
	}
	// A link on another site brings no strict cookies; the next request does, and nobody goes round in circles.
	stranger := h.Browser()
	for _, path := range []string{"/login", "/login?return_to=%2Fapp", "/account"} {
		for name, from := range map[string][]string{
			"by Sec-Fetch-Site": {"Sec-Fetch-Site", "cross-site"}, "by Referer": {"Referer", "https://mail.example/inbox"},
		} {
			a := opens(stranger, path, from...)
			if a.Status != 200 || a.Header.Get("Refresh") != "0" || strings.Contains(a.Text, "<form") || len(stranger.Jar.Cookies(stranger.Origin())) != 0 {
				t.Errorf("%s %s: %d %v", path, name, a.Status, a.Header)
			}
		}
		for _, again := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Referer", h.App.URL() + path}, nil} {
			if a := opens(stranger, path, again...); a.Header.Get("Refresh") != "" {
				t.Errorf("%s once more, %v: %d %v", path, again, a.Status, a.Header)
			}
		}
		stranger = h.Browser()
	}
}

// TestCaseG3_AnApplicationThatSendsPeopleBack: whose session never reaches the check ends on a page that says so, and the log has it.
func TestCaseG3_AnApplicationThatSendsPeopleBack(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	h.Register("ada@example.org")
	b := h.Browser()
	b.SignIn("ada@example.org")
	for range 5 {
		if a := opens(b, "/login?return_to=%2Fapp"); a.Status != 303 {
			t.Fatalf("going on: %d", a.Status)
		}
	}
	a := opens(b, "/login?return_to=%2Fapp")
	if a.Status != 409 || !strings.Contains(a.Text, "You are signed in") || strings.Contains(a.Text, "<form") ||
		!strings.Contains(h.Logs.String(), "redirect_loop") {
		t.Errorf("the sixth time: %d\n%s", a.Status, a.Text)
	}
	if a := opens(b, "/login?return_to=%2Fapp"); a.Status != 303 {
		t.Errorf("after that: %d", a.Status)
	}
}

// TestCaseB5_TheCSRFTokenAfterAReload: an application of CORS_ORIGINS gets it again, and nobody else.
func TestCaseB5_TheCSRFTokenAfterAReload(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		b := h.Browser()
		expected := b.SignIn("ada@example.org").Str("csrf_token")
		for _, access := range []bool{true, false} {
			if !access {
				expire(b)
			}
			a := b.Send(harness.Request{Method: "GET", Path: "/v1/me", Header: http.Header{"Origin": {"https://app.example"}}})
			token := a.Str("csrf_token")
			if a.Status != 200 || token != expected || a.Header.Get("X-Csrf-Token") != expected ||
				!strings.Contains(strings.ToLower(a.Header.Get("Access-Control-Expose-Headers")), "x-csrf-token") ||
				a.Header.Get("Access-Control-Allow-Origin") != "https://app.example" {
				h.Errorf("me, with an access token: %v: %d %s %v", access, a.Status, a.Text, a.Header)
			}
			change := harness.Request{Method: "PATCH", Path: "/v1/me", Body: `{"name":"Ada"}`,
				Header: http.Header{"Origin": {"https://app.example"}, "X-Csrf-Token": {token}}}
			if a := b.Send(change); a.Status != 200 {
				h.Errorf("a change with it: %d %s", a.Status, a.Text)
			}
			if a := b.Send(harness.Request{Method: "GET", Path: "/v1/me",
				Header: http.Header{"Origin": {"https://evil.example"}}}); a.Header.Get("Access-Control-Allow-Origin") != "" {
				h.Errorf("another origin may read it: %v", a.Header)
			}
		}
		bearer := h.Login("ada@example.org")
		if a := h.Expect(200, "", harness.Request{Method: "GET", Path: "/v1/me", Bearer: bearer.Str("access_token")}); a.Str("csrf_token") != "" ||
			a.Header.Get("X-Csrf-Token") != "" {
			h.Errorf("a bearer has one: %s", a.Text)
		}
		refreshed := b.Send(harness.Request{Method: "POST", Path: "/v1/token/refresh", Header: http.Header{"X-Csrf-Token": {expected}}})
		out := b.Send(harness.Request{Method: "POST", Path: "/v1/logout", Header: http.Header{"X-Csrf-Token": {expected}}})
		if refreshed.Status != 200 || out.Status != 204 {
			h.Errorf("a refresh and a sign-out with it: %d, %d", refreshed.Status, out.Status)
		}
	}, "CORS_ORIGINS=https://app.example")
}

// TestCaseG2_AddressesInHeadersAreASCII: whatever the account's address is, and no two are written alike.
func TestCaseG2_AddressesInHeadersAreASCII(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "TRUSTED_PROXIES=127.0.0.1")
	for address, want := range map[string]string{
		"ada+tag@example.org": "ada+tag@example.org", "jürgen@bücher.example": "j%C3%BCrgen@xn--bcher-kva.example",
		"j%C3%BCrgen@example.org": "j%25C3%25BCrgen@example.org",
		"用户@例子.广告":                "%E7%94%A8%E6%88%B7@xn--fsqu00a.xn--4rr70v",
	} {
		h.Register(address)
		b := h.Browser()
		b.SignIn(address)
		if a := checked(b, "GET", nil); a.Status != 200 || a.Header.Get("X-Auth-Email") != want {
			t.Errorf("%s: %d %q, want %q", address, a.Status, a.Header.Get("X-Auth-Email"), want)
		}
	}
}

// TestCaseF5_RefusedFormsNameTheHeader: so that whoever runs the proxy that overwrites ours finds it.
func TestCaseF5_RefusedFormsNameTheHeader(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	h.Register("ada@example.org")
	form := url.Values{"email": {"ada@example.org"}, "password": {harness.Passphrase}}.Encode()
	for _, path := range []string{"/login", "/forgot", "/verify", "/setup", "/unlock"} {
		for _, c := range []struct {
			origin, site string
			refused      string
		}{
			{"null", "", "Origin: null"}, {"https://evil.example", "", "Origin: https://evil.example"}, {h.App.URL(), "same-site", "Sec-Fetch-Site: same-site"},
			{"null", "same-origin", ""}, {"null", "cross-site", "Sec-Fetch-Site: cross-site"},
		} {
			header := http.Header{"Origin": {c.origin}}
			if c.site != "" {
				header.Set("Sec-Fetch-Site", c.site)
			}
			a := h.Do(harness.Request{Method: "POST", Path: path, Body: form, ContentType: "application/x-www-form-urlencoded", Header: header})
			if foreign := strings.Contains(a.Text, "came from another site"); foreign != (c.refused != "") || foreign && a.Status != 403 ||
				!strings.Contains(a.Text, c.refused) {
				t.Errorf("%s with Origin %q and Sec-Fetch-Site %q: %d\n%s", path, c.origin, c.site, a.Status, a.Text)
			}
		}
	}
}
