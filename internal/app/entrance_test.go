package app_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// opens asks for one of ours as a browser does.
func (b *browser) opens(path string, more ...string) answer {
	b.Helper()
	h := http.Header{"Accept": {"text/html"}}
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return b.send(request{method: "GET", path: path, header: h})
}

// TestCaseC12_NobodyIsAskedTwice: whoever is signed in goes on, from wherever the link came, to wherever it leads.
func TestCaseC12_NobodyIsAskedTwice(t *testing.T) {
	h := open(t, dbtest.SQLite(t), "CORS_ORIGINS=https://app.example")
	h.register("ada@example.org")
	b := h.browser()
	b.signIn("ada@example.org")
	for path, to := range map[string]string{
		"/login": "/account", "/login?return_to=%2Fapp": "/app", "/login?return_to=https%3A%2F%2Fapp.example%2Fdash%3Fa%3Db": "https://app.example/dash?a=b",
		"/login?utm_source=mail": "/account", "/login?return_to=%2F%2Fevil.example": "/account", "/login?rd=x;y&return_to=/a;b=1": "/a;b=1",
	} {
		for _, access := range []bool{true, false} {
			if !access {
				b.expire()
			}
			if a := b.opens(path); a.status != 303 || a.header.Get("Location") != to {
				t.Errorf("%s, with an access token: %v: %d %q", path, access, a.status, a.header.Get("Location"))
			}
			b.jar.SetCookies(b.origin(), []*http.Cookie{{Name: "gatehouse_on", MaxAge: -1, Path: "/"}})
		}
	}
	// A link on another site brings no strict cookies; the next request does, and nobody goes round in circles.
	stranger := h.browser()
	for _, path := range []string{"/login", "/login?return_to=%2Fapp", "/account"} {
		for name, from := range map[string][]string{
			"by Sec-Fetch-Site": {"Sec-Fetch-Site", "cross-site"}, "by Referer": {"Referer", "https://mail.example/inbox"},
		} {
			a := stranger.opens(path, from...)
			if a.status != 200 || a.header.Get("Refresh") != "0" || strings.Contains(a.text, "<form") || len(stranger.jar.Cookies(stranger.origin())) != 0 {
				t.Errorf("%s %s: %d %v", path, name, a.status, a.header)
			}
		}
		for _, again := range [][]string{{"Sec-Fetch-Site", "same-origin"}, {"Referer", h.server.URL() + path}, nil} {
			if a := stranger.opens(path, again...); a.header.Get("Refresh") != "" {
				t.Errorf("%s once more, %v: %d %v", path, again, a.status, a.header)
			}
		}
		stranger = h.browser()
	}
}

// TestCaseG3_AnApplicationThatSendsPeopleBack: whose session never reaches the check ends on a page that says so, and the log has it.
func TestCaseG3_AnApplicationThatSendsPeopleBack(t *testing.T) {
	h := open(t, dbtest.SQLite(t))
	h.register("ada@example.org")
	b := h.browser()
	b.signIn("ada@example.org")
	for range 5 {
		if a := b.opens("/login?return_to=%2Fapp"); a.status != 303 {
			t.Fatalf("going on: %d", a.status)
		}
	}
	a := b.opens("/login?return_to=%2Fapp")
	if a.status != 409 || !strings.Contains(a.text, "You are signed in") || strings.Contains(a.text, "<form") || !strings.Contains(h.log.String(), "redirect_loop") {
		t.Errorf("the sixth time: %d\n%s", a.status, a.text)
	}
	if a := b.opens("/login?return_to=%2Fapp"); a.status != 303 {
		t.Errorf("after that: %d", a.status)
	}
}

// TestCaseB5_TheCSRFTokenAfterAReload: an application of CORS_ORIGINS gets it again, and nobody else.
func TestCaseB5_TheCSRFTokenAfterAReload(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		b := h.browser()
		told := b.signIn("ada@example.org").str("csrf_token")
		for _, access := range []bool{true, false} {
			if !access {
				b.expire()
			}
			a := b.send(request{method: "GET", path: "/v1/me", header: http.Header{"Origin": {"https://app.example"}}})
			token := a.str("csrf_token")
			if a.status != 200 || token != told || a.header.Get("X-Csrf-Token") != told ||
				!strings.Contains(strings.ToLower(a.header.Get("Access-Control-Expose-Headers")), "x-csrf-token") || a.header.Get("Access-Control-Allow-Origin") != "https://app.example" {
				h.Errorf("me, with an access token: %v: %d %s %v", access, a.status, a.text, a.header)
			}
			change := request{method: "PATCH", path: "/v1/me", body: `{"name":"Ada"}`, header: http.Header{"Origin": {"https://app.example"}, "X-Csrf-Token": {token}}}
			if a := b.send(change); a.status != 200 {
				h.Errorf("a change with it: %d %s", a.status, a.text)
			}
			if a := b.send(request{method: "GET", path: "/v1/me", header: http.Header{"Origin": {"https://evil.example"}}}); a.header.Get("Access-Control-Allow-Origin") != "" {
				h.Errorf("another origin may read it: %v", a.header)
			}
		}
		bearer := h.login("ada@example.org")
		if a := h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: bearer.str("access_token")}); a.str("csrf_token") != "" || a.header.Get("X-Csrf-Token") != "" {
			h.Errorf("a bearer has one: %s", a.text)
		}
		refreshed := b.send(request{method: "POST", path: "/v1/token/refresh", header: http.Header{"X-Csrf-Token": {told}}})
		out := b.send(request{method: "POST", path: "/v1/logout", header: http.Header{"X-Csrf-Token": {told}}})
		if refreshed.status != 200 || out.status != 204 {
			h.Errorf("a refresh and a sign-out with it: %d, %d", refreshed.status, out.status)
		}
	}, "CORS_ORIGINS=https://app.example")
}

// TestCaseG2_AddressesInHeadersAreASCII: whatever the account's address is, and no two are written alike.
func TestCaseG2_AddressesInHeadersAreASCII(t *testing.T) {
	h := open(t, dbtest.SQLite(t), "TRUSTED_PROXIES=127.0.0.1")
	for address, want := range map[string]string{
		"ada+tag@example.org": "ada+tag@example.org", "jürgen@bücher.example": "j%C3%BCrgen@xn--bcher-kva.example", "j%C3%BCrgen@example.org": "j%25C3%25BCrgen@example.org",
		"用户@例子.广告": "%E7%94%A8%E6%88%B7@xn--fsqu00a.xn--4rr70v",
	} {
		h.register(address)
		b := h.browser()
		b.signIn(address)
		if a := b.checked("GET", nil); a.status != 200 || a.header.Get("X-Auth-Email") != want {
			t.Errorf("%s: %d %q, want %q", address, a.status, a.header.Get("X-Auth-Email"), want)
		}
	}
}

// TestCaseF5_RefusedFormsNameTheHeader: so that whoever runs the proxy that overwrites ours finds it.
func TestCaseF5_RefusedFormsNameTheHeader(t *testing.T) {
	h := open(t, dbtest.SQLite(t))
	h.register("ada@example.org")
	form := url.Values{"email": {"ada@example.org"}, "password": {passphrase}}.Encode()
	for _, path := range []string{"/login", "/forgot", "/verify", "/setup", "/unlock"} {
		for _, c := range []struct {
			origin, site string
			refused      string
		}{
			{"null", "", "Origin: null"}, {"https://evil.example", "", "Origin: https://evil.example"}, {h.server.URL(), "same-site", "Sec-Fetch-Site: same-site"},
			{"null", "same-origin", ""}, {"null", "cross-site", "Sec-Fetch-Site: cross-site"},
		} {
			header := http.Header{"Origin": {c.origin}}
			if c.site != "" {
				header.Set("Sec-Fetch-Site", c.site)
			}
			a := h.do(request{method: "POST", path: path, body: form, contentType: "application/x-www-form-urlencoded", header: header})
			if foreign := strings.Contains(a.text, "sent from another site"); foreign != (c.refused != "") || foreign && a.status != 403 || !strings.Contains(a.text, c.refused) {
				t.Errorf("%s with Origin %q and Sec-Fetch-Site %q: %d\n%s", path, c.origin, c.site, a.status, a.text)
			}
		}
	}
}

// TestCaseB4_SignInLeadsToAnApplicationInChromium: past form-action, to an origin of CORS_ORIGINS, and under a proxy's
// Referrer-Policy: no-referrer (F5); and a person who is signed in passes the sign-in page unasked, from another site (C12).
func TestCaseB4_SignInLeadsToAnApplicationInChromium(t *testing.T) {
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if to := r.URL.Query().Get("link"); to != "" {
			_, _ = w.Write([]byte(`<a id="link" href="` + to + `">go</a>`))
			return
		}
		_, _ = w.Write([]byte(`<p id="here">` + r.URL.Path + `</p>`))
	}))
	t.Cleanup(application.Close)
	// Another site to the browser: localhost is not 127.0.0.1.
	origin := strings.Replace(application.URL, "127.0.0.1", "localhost", 1)
	h := open(t, dbtest.SQLite(t), "CORS_ORIGINS="+origin)
	h.register("ada@example.org")
	c := h.chromium()
	to := h.server.URL() + "/login?return_to=" + url.QueryEscape(origin+"/dash")
	c.run("sign-in", chromedp.Navigate(to), chromedp.SendKeys("#email", "ada@example.org"), chromedp.SendKeys("#password", passphrase),
		chromedp.Click("button"), chromedp.WaitVisible("#here"))
	if at := c.eval("location.href"); at != origin+"/dash" {
		t.Errorf("it leads to %s; the browser says %q", at, c.said())
	}
	for target, want := range map[string]string{to: origin + "/dash", h.server.URL() + "/account": h.server.URL() + "/account", h.server.URL() + "/login": h.server.URL() + "/account"} {
		wait := `form[action="/logout"]`
		if target == to {
			wait = "#here"
		}
		c.run("a link on another site", chromedp.Navigate(origin+"/?link="+url.QueryEscape(target)), chromedp.Click("#link"), chromedp.WaitVisible(wait))
		if at := c.eval("location.href"); at != want {
			t.Errorf("%s from another site leads to %s, want %s", target, at, want)
		}
	}
}
