package signin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

func TestNET2_ASessionInCookies(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		b := h.Browser()
		a := b.SignIn("ada@example.org")
		if strings.Contains(a.Text, "gatehouse_rt_") || a.Str("csrf_token") == "" || strings.Contains(a.Text, "access_token") {
			h.Errorf("the answer: %s", a.Text)
		}
		if a := b.Send(harness.Get("/v1/me")); a.Status != 200 {
			h.Errorf("me: %d %s", a.Status, a.Text)
		}
		// What changes something needs the token, and needs the right one.
		change := harness.Request{Method: "PATCH", Path: "/v1/me", Body: `{"name":"Ada"}`}
		other := h.Browser()
		other.SignIn("ada@example.org")
		for name, header := range map[string]http.Header{"none": nil, "wrong": {"X-Csrf-Token": {"x"}}, "another session's": other.Csrf()} {
			change.Header = header
			if a := b.Send(change); a.Status != 403 || a.Str("code") != "csrf_token_required" {
				h.Errorf("with the token %s: %d %s", name, a.Status, a.Text)
			}
		}
		change.Header = b.Csrf()
		if a := b.Send(change); a.Status != 200 {
			h.Errorf("with its token: %d %s", a.Status, a.Text)
		}
		// Nor does the right token help another site.
		for name, value := range map[string][2]string{
			"another site": {"Sec-Fetch-Site", "cross-site"}, "a sibling": {"Sec-Fetch-Site", "same-site"},
			"foreign origin": {"Origin", "https://evil.example"}, "no origin": {"Origin", "null"},
			"our name in it": {"Origin", h.App.URL() + ".evil.example"},
		} {
			change.Header = b.Csrf()
			change.Header.Set(value[0], value[1])
			if a := b.Send(change); a.Status != 403 || a.Str("code") != "cross_origin" {
				h.Errorf("from %s: %d %s", name, a.Status, a.Text)
			}
		}
		harness.RefreshWithCookies(h, b)
		if a := b.Send(harness.Request{Method: "POST", Path: "/v1/logout"}); a.Status != 403 {
			h.Errorf("a logout without the token: %d", a.Status)
		}
		if a := b.Send(harness.Request{Method: "POST", Path: "/v1/logout", Header: b.Csrf()}); a.Status != 204 || b.Cookie("gatehouse_at") != "" ||
			b.Cookie("gatehouse_rt") != "" {
			h.Errorf("logout: %d, cookies %v", a.Status, b.Jar.Cookies(b.Origin()))
		}
		h.Expect(401, "not_signed_in", harness.Request{Method: "POST", Path: "/v1/logout"})
	})
}

func TestNET2_CookiesAndBearersNeverMix(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		h.Register("eve@example.org")
		b := h.Browser()
		b.SignIn("ada@example.org")
		eve := h.Login("eve@example.org")
		if a := b.Send(harness.Get("/v1/me", eve.Str("access_token"))); a.Str("email") != "eve@example.org" {
			h.Errorf("a bearer beside cookies is %s", a.Text)
		}
		if a := b.Send(harness.Get("/v1/me", "bad")); a.Status != 401 {
			h.Errorf("a bad bearer beside good cookies: %d", a.Status)
		}
		// A bearer needs no token against forged requests: no browser sends it by itself.
		h.Expect(200, "", harness.Request{Method: "PATCH", Path: "/v1/me", Bearer: eve.Str("access_token"), Body: `{"name":"Eve"}`})
		// Two cookies of one name: one is somebody else's, and neither counts.
		twice := "gatehouse_at=" + eve.Str("access_token") + "; gatehouse_at=" + b.Cookie("gatehouse_at")
		h.Expect(401, "not_signed_in", harness.Request{Method: "GET", Path: "/v1/me", Header: http.Header{"Cookie": {twice}}})
	})
}

func TestNET2_ASignInIsANewSessionAndEndsTheOld(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		h.Register("eve@example.org")
		// Fixation: eve plants her session in the victim's browser.
		eve, victim := h.Browser(), h.Browser()
		eve.SignIn("eve@example.org")
		victim.Jar.SetCookies(victim.Origin(), eve.Jar.Cookies(eve.Origin()))
		victim.SignIn("ada@example.org")
		if a := victim.Send(harness.Get("/v1/me")); a.Str("email") != "ada@example.org" {
			h.Errorf("after the sign-in: %s", a.Text)
		}
		if a := eve.Send(harness.Get("/v1/me")); a.Status != 401 {
			h.Errorf("the replaced session lives on: %d", a.Status)
		}
		// Whoever signs in again gets another session, and another token against CSRF.
		before := victim.Send(harness.Get("/v1/sessions"))
		cookies := fmt.Sprint(victim.Jar.Cookies(victim.Origin()))
		token := victim.Cookie("gatehouse_csrf")
		victim.SignIn("ada@example.org")
		after := victim.Send(harness.Get("/v1/sessions"))
		if strings.Count(before.Text, `"current":true`) != 1 || strings.Count(after.Text, `"id"`) != 1 || before.Text == after.Text ||
			cookies == fmt.Sprint(victim.Jar.Cookies(victim.Origin())) || token == victim.Cookie("gatehouse_csrf") {
			h.Errorf("signed in again: before %s, after %s", before.Text, after.Text)
		}
		// Another site can't sign its visitor in either.
		a := h.Do(harness.Request{
			Method: "POST", Path: "/v1/login", Body: harness.CookieCredentials{Credentials: harness.Credentials{Email: "eve@example.org", Password: harness.Passphrase},
				Cookies: true},
			Header: http.Header{"Sec-Fetch-Site": {"cross-site"}},
		})
		if a.Status != 403 {
			h.Errorf("a sign-in from another site: %d", a.Status)
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
		h := harness.Open(t, dbtest.SQLite(t), c.settings...)
		h.Register("ada@example.org")
		a := h.Do(harness.CookieSignIn("ada@example.org", harness.Passphrase))
		cookies := a.Header.Values("Set-Cookie")
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
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		b := h.Browser()
		if a := b.Send(harness.Get("/account")); a.Status != 303 || a.Header.Get("Location") != "/login" {
			h.Errorf("the account of nobody: %d %v", a.Status, a.Header)
		}
		form := func(pass, returnTo string) harness.Request {
			v := url.Values{"email": {"ada@example.org"}, "password": {pass}, "return_to": {returnTo}}
			return harness.Request{Method: "POST", Path: "/login", Body: v.Encode(), ContentType: "application/x-www-form-urlencoded"}
		}
		if a := b.Send(form("wrong password, quite", "")); a.Status != 401 || !strings.Contains(a.Text, "Check the address and the password") ||
			strings.Contains(a.Text, "wrong password, quite") {
			h.Errorf("a wrong password: %d\n%s", a.Status, a.Text)
		}
		a := b.Send(form(harness.Passphrase, "/somewhere?a=b"))
		if a.Status != 303 || a.Header.Get("Location") != "/somewhere?a=b" {
			h.Errorf("signed in: %d %v", a.Status, a.Header)
		}
		account := b.Send(harness.Get("/account"))
		if account.Status != 200 || !strings.Contains(account.Text, "ada@example.org") {
			h.Errorf("the account: %d\n%s", account.Status, account.Text)
		}
		// The access token is gone, the session is not: the page gets new ones.
		b.Jar.SetCookies(b.Origin(), []*http.Cookie{{Name: "gatehouse_at", Value: "", MaxAge: -1, Path: "/"}})
		if a := b.Send(harness.Get("/account")); a.Status != 200 || b.Cookie("gatehouse_at") == "" {
			h.Errorf("the account with a refresh token alone: %d", a.Status)
		}
		out := harness.Request{Method: "POST", Path: "/logout", Body: "csrf_token=wrong", ContentType: "application/x-www-form-urlencoded"}
		if a := b.Send(out); a.Status != 403 {
			h.Errorf("a forged sign-out: %d", a.Status)
		}
		out.Body = url.Values{"csrf_token": {b.Cookie("gatehouse_csrf")}}.Encode()
		if a := b.Send(out); a.Status != 303 || b.Cookie("gatehouse_rt") != "" {
			h.Errorf("sign-out: %d %v", a.Status, b.Jar.Cookies(b.Origin()))
		}
	})
}

// staysHere reports whether a browser that is at the server finds itself there again.
func staysHere(h *harness.Server, location string) bool {
	path := strings.TrimPrefix(location, h.App.URL())
	if strings.ContainsAny(path, "\t\r\n") || !strings.HasPrefix(path, "/") {
		return false
	}
	return path != location || len(path) < 2 || path[1] != '/' && path[1] != '\\'
}

// TestReturnToLeadsNowhereElse tries what browsers take for another host.
func TestReturnToLeadsNowhereElse(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "CORS_ORIGINS=https://app.example")
	h.Register("ada@example.org")
	for _, to := range []string{
		"/%2f/evil.example", "/%2Fevil.example", "/%5cevil.example", "/a//evil.example", "/%0d%0aSet-Cookie:a=b", "/%00", "/a?b=%0a", "/#/", "/a b",
		"https://app.example.evil.example/", "https://app.example@evil.example/", "https://app.example:8443/", "https://app.example//evil.example",
		`https://app.example\evil.example`,
		"http://app.example/", "https://APP.example/", "https://app.example/\n", "https://app.example?/", "//app.example/", "/" + strings.Repeat("a", 3000),
		"data:text/html,<script>", "%68ttps://evil.example", "vbscript:x", "\x00/",
		"//evil.example", "///evil.example", `/\evil.example`, `\\evil.example`, "https://evil.example", "http:evil.example", "https:/evil.example",
		"javascript:alert(1)", "data:text/html,x", "/\t/evil.example", "\t//evil.example", "/\n/evil.example", "/ok\r\nSet-Cookie: a=b",
		h.App.URL() + "@evil.example", h.App.URL() + ".evil.example", h.App.URL() + "//evil.example", "evil.example", "@evil.example", "%2f%2fevil.example", "/é",
	} {
		v := url.Values{"email": {"ada@example.org"}, "password": {harness.Passphrase}, "return_to": {to}}
		a := h.Do(harness.Request{Method: "POST", Path: "/login", Body: v.Encode(), ContentType: "application/x-www-form-urlencoded"})
		if at := a.Header.Get("Location"); a.Status == 303 && !staysHere(h, at) && !strings.HasPrefix(at, "https://app.example/") {
			t.Errorf("return_to %q leads to %q", to, at)
		}
	}
	for _, to := range []string{"/a/b?c=d", h.App.URL() + "/a/b?c=d"} {
		v := url.Values{"email": {"ada@example.org"}, "password": {harness.Passphrase}, "return_to": {to}}
		a := h.Do(harness.Request{Method: "POST", Path: "/login", Body: v.Encode(), ContentType: "application/x-www-form-urlencoded"})
		if a.Header.Get("Location") != "/a/b?c=d" {
			t.Errorf("return_to %q leads to %q", to, a.Header.Get("Location"))
		}
	}
	for _, to := range []string{"https://app.example/a?b=c", "https://app.example/", "/a%20b", "/?q=%C3%A9"} {
		v := url.Values{"email": {"ada@example.org"}, "password": {harness.Passphrase}, "return_to": {to}}
		a := h.Do(harness.Request{Method: "POST", Path: "/login", Body: v.Encode(), ContentType: "application/x-www-form-urlencoded"})
		if a.Header.Get("Location") != to {
			t.Errorf("return_to %q leads to %q", to, a.Header.Get("Location"))
		}
	}
}
