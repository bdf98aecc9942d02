package harness

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// Browser keeps cookies as a browser does, and sends what one sends.
type Browser struct {
	*Server
	Jar http.CookieJar
}

// Browser is a browser without cookies.
func (h *Server) Browser() *Browser {
	h.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.Fatal(err)
	}
	return &Browser{h, jar}
}

// Origin is the URL whose cookies count.
func (b *Browser) Origin() *url.URL {
	u, err := url.Parse(b.URL())
	if err != nil {
		b.Fatal(err)
	}
	return u
}

// Send makes a request with the browser's cookies, and keeps those of the answer.
func (b *Browser) Send(r Request) Answer {
	b.Helper()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	for _, c := range b.Jar.Cookies(b.Origin()) {
		r.Header.Add("Cookie", c.Name+"="+c.Value)
	}
	a := b.Do(r)
	b.Jar.SetCookies(b.Origin(), (&http.Response{Header: a.Header}).Cookies())
	return a
}

// Csrf is the header that a page's script sends.
func (b *Browser) Csrf() http.Header {
	return http.Header{"X-Csrf-Token": {b.Cookie("gatehouse_csrf")}}
}

// Cookie returns the value of a cookie, or nothing.
func (b *Browser) Cookie(name string) string {
	for _, c := range b.Jar.Cookies(b.Origin()) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// CookieCredentials are the body of a sign-in that asks for cookies.
type CookieCredentials struct {
	Credentials
	Cookies bool `json:"cookies"`
}

// CookieSignIn is a sign-in that asks for cookies.
func CookieSignIn(email, password string) Request {
	return Post("/v1/login", CookieCredentials{Credentials{email, password}, true})
}

// SignIn signs in with Passphrase, and keeps the cookies.
func (b *Browser) SignIn(email string) Answer {
	b.Helper()
	a := b.Send(CookieSignIn(email, Passphrase))
	if a.Status != 200 {
		b.Fatalf("sign-in: %d %s", a.Status, a.Text)
	}
	return a
}

// Page sends a page's form and fails the test unless it is answered with the
// status and the words.
func (b *Browser) Page(status int, words string, r Request) {
	b.Helper()
	a := b.Send(r)
	if status == 200 && a.Status == 303 { // a form that went well leads to a page
		a = b.Send(Get(a.Header.Get("Location")))
	}
	if a.Status != status || !strings.Contains(a.Text, words) {
		b.Fatalf("%s: %d, want %d and %q\n%s", r.Path, a.Status, status, words, a.Text)
	}
}

// RefreshWithCookies refreshes, and checks what a browser sees of it.
func RefreshWithCookies(h *Server, b *Browser) {
	h.Helper()
	before := b.Cookie("gatehouse_rt")
	if a := b.Send(Request{Method: "POST", Path: "/v1/token/refresh"}); a.Status != 403 {
		h.Errorf("a refresh without the token: %d", a.Status)
	}
	if a := b.Send(Request{Method: "POST", Path: "/v1/token/refresh", Header: b.Csrf()}); a.Status != 200 || b.Cookie("gatehouse_rt") == before ||
		strings.Contains(a.Text, "gatehouse_rt_") {
		h.Errorf("refresh: %d %s", a.Status, a.Text)
	}
	if a := b.Send(Get("/v1/me")); a.Status != 200 {
		h.Errorf("me after the refresh: %d", a.Status)
	}
}
