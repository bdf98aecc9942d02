package app_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// browser keeps cookies as a browser does, and sends what one sends.
type browser struct {
	*house
	jar http.CookieJar
}

func (h *house) browser() *browser {
	h.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.Fatal(err)
	}
	return &browser{h, jar}
}

func (b *browser) origin() *url.URL {
	u, err := url.Parse(b.url())
	if err != nil {
		b.Fatal(err)
	}
	return u
}

// send makes a request with the browser's cookies, and keeps those of the answer.
func (b *browser) send(r request) answer {
	b.Helper()
	if r.header == nil {
		r.header = http.Header{}
	}
	for _, c := range b.jar.Cookies(b.origin()) {
		r.header.Add("Cookie", c.Name+"="+c.Value)
	}
	a := b.do(r)
	b.jar.SetCookies(b.origin(), (&http.Response{Header: a.header}).Cookies())
	return a
}

// csrf is the header that a page's script sends.
func (b *browser) csrf() http.Header {
	return http.Header{"X-Csrf-Token": {b.cookie("gatehouse_csrf")}}
}

func (b *browser) cookie(name string) string {
	for _, c := range b.jar.Cookies(b.origin()) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

type cookieCredentials struct {
	credentials
	Cookies bool `json:"cookies"`
}

func (b *browser) signIn(email string) answer {
	b.Helper()
	a := b.send(request{method: "POST", path: "/v1/login", body: cookieCredentials{credentials{email, passphrase}, true}})
	if a.status != 200 {
		b.Fatalf("sign-in: %d %s", a.status, a.text)
	}
	return a
}

func TestNET2_ASessionInCookies(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		b := h.browser()
		a := b.signIn("ada@example.org")
		if strings.Contains(a.text, "gatehouse_rt_") || a.str("csrf_token") == "" || strings.Contains(a.text, "access_token") {
			h.Errorf("the answer: %s", a.text)
		}
		if a := b.send(request{method: "GET", path: "/v1/me"}); a.status != 200 {
			h.Errorf("me: %d %s", a.status, a.text)
		}
		// What changes something needs the token, and needs the right one.
		change := request{method: "PATCH", path: "/v1/me", body: `{"name":"Ada"}`}
		other := h.browser()
		other.signIn("ada@example.org")
		for name, header := range map[string]http.Header{"none": nil, "wrong": {"X-Csrf-Token": {"x"}}, "another session's": other.csrf()} {
			change.header = header
			if a := b.send(change); a.status != 403 || a.str("code") != "csrf_token_required" {
				h.Errorf("with the token %s: %d %s", name, a.status, a.text)
			}
		}
		change.header = b.csrf()
		if a := b.send(change); a.status != 200 {
			h.Errorf("with its token: %d %s", a.status, a.text)
		}
		// Nor does the right token help another site.
		for name, value := range map[string][2]string{
			"another site": {"Sec-Fetch-Site", "cross-site"}, "a sibling": {"Sec-Fetch-Site", "same-site"},
			"foreign origin": {"Origin", "https://evil.example"}, "no origin": {"Origin", "null"},
			"our name in it": {"Origin", h.server.URL() + ".evil.example"},
		} {
			change.header = b.csrf()
			change.header.Set(value[0], value[1])
			if a := b.send(change); a.status != 403 || a.str("code") != "cross_origin" {
				h.Errorf("from %s: %d %s", name, a.status, a.text)
			}
		}
		h.refreshWithCookies(b)
		if a := b.send(request{method: "POST", path: "/v1/logout"}); a.status != 403 {
			h.Errorf("a logout without the token: %d", a.status)
		}
		if a := b.send(request{method: "POST", path: "/v1/logout", header: b.csrf()}); a.status != 204 || b.cookie("gatehouse_at") != "" || b.cookie("gatehouse_rt") != "" {
			h.Errorf("logout: %d, cookies %v", a.status, b.jar.Cookies(b.origin()))
		}
		h.expect(401, "not_signed_in", request{method: "POST", path: "/v1/logout"})
	})
}

func (h *house) refreshWithCookies(b *browser) {
	h.Helper()
	before := b.cookie("gatehouse_rt")
	if a := b.send(request{method: "POST", path: "/v1/token/refresh"}); a.status != 403 {
		h.Errorf("a refresh without the token: %d", a.status)
	}
	if a := b.send(request{method: "POST", path: "/v1/token/refresh", header: b.csrf()}); a.status != 200 || b.cookie("gatehouse_rt") == before || strings.Contains(a.text, "gatehouse_rt_") {
		h.Errorf("refresh: %d %s", a.status, a.text)
	}
	if a := b.send(request{method: "GET", path: "/v1/me"}); a.status != 200 {
		h.Errorf("me after the refresh: %d", a.status)
	}
}

func TestNET2_CookiesAndBearersNeverMix(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		h.register("eve@example.org")
		b := h.browser()
		b.signIn("ada@example.org")
		eve := h.login("eve@example.org")
		if a := b.send(request{method: "GET", path: "/v1/me", bearer: eve.str("access_token")}); a.str("email") != "eve@example.org" {
			h.Errorf("a bearer beside cookies is %s", a.text)
		}
		if a := b.send(request{method: "GET", path: "/v1/me", bearer: "bad"}); a.status != 401 {
			h.Errorf("a bad bearer beside good cookies: %d", a.status)
		}
		// A bearer needs no token against forged requests: no browser sends it by itself.
		h.expect(200, "", request{method: "PATCH", path: "/v1/me", bearer: eve.str("access_token"), body: `{"name":"Eve"}`})
		// Two cookies of one name: one is somebody else's, and neither counts.
		twice := "gatehouse_at=" + eve.str("access_token") + "; gatehouse_at=" + b.cookie("gatehouse_at")
		h.expect(401, "not_signed_in", request{method: "GET", path: "/v1/me", header: http.Header{"Cookie": {twice}}})
	})
}

func TestNET2_ASignInIsANewSessionAndEndsTheOld(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		h.register("eve@example.org")
		// Fixation: eve plants her session in the victim's browser.
		eve, victim := h.browser(), h.browser()
		eve.signIn("eve@example.org")
		victim.jar.SetCookies(victim.origin(), eve.jar.Cookies(eve.origin()))
		victim.signIn("ada@example.org")
		if a := victim.send(request{method: "GET", path: "/v1/me"}); a.str("email") != "ada@example.org" {
			h.Errorf("after the sign-in: %s", a.text)
		}
		if a := eve.send(request{method: "GET", path: "/v1/me"}); a.status != 401 {
			h.Errorf("the replaced session lives on: %d", a.status)
		}
		// Whoever signs in again gets another session, and another token against CSRF.
		before := victim.send(request{method: "GET", path: "/v1/sessions"})
		cookies := fmt.Sprint(victim.jar.Cookies(victim.origin()))
		token := victim.cookie("gatehouse_csrf")
		victim.signIn("ada@example.org")
		after := victim.send(request{method: "GET", path: "/v1/sessions"})
		if strings.Count(before.text, `"current":true`) != 1 || strings.Count(after.text, `"id"`) != 1 || before.text == after.text || cookies == fmt.Sprint(victim.jar.Cookies(victim.origin())) || token == victim.cookie("gatehouse_csrf") {
			h.Errorf("signed in again: before %s, after %s", before.text, after.text)
		}
		// Another site can't sign its visitor in either.
		a := h.do(request{
			method: "POST", path: "/v1/login", body: cookieCredentials{credentials{"eve@example.org", passphrase}, true},
			header: http.Header{"Sec-Fetch-Site": {"cross-site"}},
		})
		if a.status != 403 {
			h.Errorf("a sign-in from another site: %d", a.status)
		}
	})
}

func TestNET2_TheAttributesOfCookies(t *testing.T) {
	for _, c := range []struct {
		settings []string
		prefix   string
		want     []string
	}{
		{nil, "gatehouse_", []string{"HttpOnly", "SameSite=Strict"}},
		{[]string{"SESSION_COOKIE_SAMESITE=lax"}, "gatehouse_", []string{"SameSite=Lax"}},
		{[]string{"PUBLIC_URL=https://login.example.net"}, "__Host-gatehouse_", []string{"HttpOnly", "SameSite=Strict", "Secure"}},
	} {
		h := open(t, dbtest.SQLite(t), c.settings...)
		h.register("ada@example.org")
		a := h.do(request{method: "POST", path: "/v1/login", body: cookieCredentials{credentials{"ada@example.org", passphrase}, true}})
		cookies := a.header.Values("Set-Cookie")
		if len(cookies) != 4 || !strings.HasPrefix(cookies[0], c.prefix+"dc_") {
			t.Fatalf("cookies %v", cookies)
		}
		known := cookies[0]
		for _, attribute := range append(c.want, "; Path=/;") {
			if !strings.Contains(known, attribute) {
				t.Errorf("%v: %s lacks %s", c.settings, known, attribute)
			}
		}
		cookies = cookies[1:]
		for i, name := range []string{"at", "rt", "csrf"} {
			if !strings.HasPrefix(cookies[i], c.prefix+name+"=") || !strings.Contains(cookies[i], "; Path=/;") || strings.Contains(cookies[i], "Domain") {
				t.Errorf("%v: %s", c.settings, cookies[i])
			}
			for _, attribute := range c.want {
				if !strings.Contains(cookies[i], attribute) && (name != "csrf" || attribute != "HttpOnly") {
					t.Errorf("%v: %s lacks %s", c.settings, cookies[i], attribute)
				}
			}
		}
		if strings.Contains(cookies[2], "HttpOnly") {
			t.Errorf("no script can read %s", cookies[2])
		}
	}
}

func TestTheLoginPage(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		b := h.browser()
		if a := b.send(request{method: "GET", path: "/account"}); a.status != 303 || a.header.Get("Location") != "/login" {
			h.Errorf("the account of nobody: %d %v", a.status, a.header)
		}
		form := func(pass, returnTo string) request {
			v := url.Values{"email": {"ada@example.org"}, "password": {pass}, "return_to": {returnTo}}
			return request{method: "POST", path: "/login", body: v.Encode(), contentType: "application/x-www-form-urlencoded"}
		}
		if a := b.send(form("wrong password, quite", "")); a.status != 401 || !strings.Contains(a.text, "The e-mail address or the password is wrong,") || strings.Contains(a.text, "wrong password, quite") {
			h.Errorf("a wrong password: %d\n%s", a.status, a.text)
		}
		a := b.send(form(passphrase, "/somewhere?a=b"))
		if a.status != 303 || a.header.Get("Location") != "/somewhere?a=b" {
			h.Errorf("signed in: %d %v", a.status, a.header)
		}
		account := b.send(request{method: "GET", path: "/account"})
		if account.status != 200 || !strings.Contains(account.text, "ada@example.org") {
			h.Errorf("the account: %d\n%s", account.status, account.text)
		}
		// The access token is gone, the session is not: the page gets new ones.
		b.jar.SetCookies(b.origin(), []*http.Cookie{{Name: "gatehouse_at", Value: "", MaxAge: -1, Path: "/"}})
		if a := b.send(request{method: "GET", path: "/account"}); a.status != 200 || b.cookie("gatehouse_at") == "" {
			h.Errorf("the account with a refresh token alone: %d", a.status)
		}
		out := request{method: "POST", path: "/logout", body: "csrf_token=wrong", contentType: "application/x-www-form-urlencoded"}
		if a := b.send(out); a.status != 403 {
			h.Errorf("a forged sign-out: %d", a.status)
		}
		out.body = url.Values{"csrf_token": {b.cookie("gatehouse_csrf")}}.Encode()
		if a := b.send(out); a.status != 303 || b.cookie("gatehouse_rt") != "" {
			h.Errorf("sign-out: %d %v", a.status, b.jar.Cookies(b.origin()))
		}
	})
}

// staysHere reports whether a browser that is at the server finds itself there again.
func (h *house) staysHere(location string) bool {
	path := strings.TrimPrefix(location, h.server.URL())
	if strings.ContainsAny(path, "\t\r\n") || !strings.HasPrefix(path, "/") {
		return false
	}
	return path != location || len(path) < 2 || path[1] != '/' && path[1] != '\\'
}

// TestReturnToLeadsNowhereElse tries what browsers take for another host.
func TestReturnToLeadsNowhereElse(t *testing.T) {
	h := open(t, dbtest.SQLite(t), "CORS_ORIGINS=https://app.example")
	h.register("ada@example.org")
	for _, to := range []string{
		"/%2f/evil.example", "/%2Fevil.example", "/%5cevil.example", "/a//evil.example", "/%0d%0aSet-Cookie:a=b", "/%00", "/a?b=%0a", "/#/", "/a b",
		"https://app.example.evil.example/", "https://app.example@evil.example/", "https://app.example:8443/", "https://app.example//evil.example", `https://app.example\evil.example`,
		"http://app.example/", "https://APP.example/", "https://app.example/\n", "https://app.example?/", "//app.example/", "/" + strings.Repeat("a", 3000), "data:text/html,<script>", "%68ttps://evil.example", "vbscript:x", "\x00/",
		"//evil.example", "///evil.example", `/\evil.example`, `\\evil.example`, "https://evil.example", "http:evil.example", "https:/evil.example",
		"javascript:alert(1)", "data:text/html,x", "/\t/evil.example", "\t//evil.example", "/\n/evil.example", "/ok\r\nSet-Cookie: a=b",
		h.server.URL() + "@evil.example", h.server.URL() + ".evil.example", h.server.URL() + "//evil.example", "evil.example", "@evil.example", "%2f%2fevil.example", "/é",
	} {
		v := url.Values{"email": {"ada@example.org"}, "password": {passphrase}, "return_to": {to}}
		a := h.do(request{method: "POST", path: "/login", body: v.Encode(), contentType: "application/x-www-form-urlencoded"})
		if at := a.header.Get("Location"); a.status == 303 && !h.staysHere(at) && !strings.HasPrefix(at, "https://app.example/") {
			t.Errorf("return_to %q leads to %q", to, at)
		}
	}
	for _, to := range []string{"/a/b?c=d", h.server.URL() + "/a/b?c=d"} {
		v := url.Values{"email": {"ada@example.org"}, "password": {passphrase}, "return_to": {to}}
		a := h.do(request{method: "POST", path: "/login", body: v.Encode(), contentType: "application/x-www-form-urlencoded"})
		if a.header.Get("Location") != "/a/b?c=d" {
			t.Errorf("return_to %q leads to %q", to, a.header.Get("Location"))
		}
	}
	for _, to := range []string{"https://app.example/a?b=c", "https://app.example/", "/a%20b", "/?q=%C3%A9"} {
		v := url.Values{"email": {"ada@example.org"}, "password": {passphrase}, "return_to": {to}}
		a := h.do(request{method: "POST", path: "/login", body: v.Encode(), contentType: "application/x-www-form-urlencoded"})
		if a.header.Get("Location") != to {
			t.Errorf("return_to %q leads to %q", to, a.header.Get("Location"))
		}
	}
}
