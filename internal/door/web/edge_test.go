package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

const (
	application = "https://app.example.org"
	second      = "https://admin.example.org:8443"
)

// edgeHouse is a house whose applications are the two above.
func edgeHouse(t *testing.T) *house {
	h := newHouse(t, func(s *Stack, _ *http.Server) {
		s.Edge = NewEdge(EdgeConfig{PublicURL: "https://login.example.org", Origins: []string{application, second}})
	})
	h.handle("GET /v1/me", ok)
	h.handle("PATCH /v1/me", func(http.ResponseWriter, *http.Request) error { return fault.New(fault.Denied, "no", "No.") })
	h.handle("GET /v1/panic", func(http.ResponseWriter, *http.Request) error { panic("x") })
	h.handle("GET /account", ok)
	return h
}

// NET-3: a script of a named application reads every answer of the API, errors
// too, and no other's reads any.
func TestNET3_Origins(t *testing.T) {
	h := edgeHouse(t)
	for _, path := range []string{"/v1/me", "/v1/nothing", "/v1/panic", "/v1/login"} {
		for origin, allowed := range map[string]bool{
			application: true, second: true, "": false, "null": false, "*": false, "https://login.example.org": false,
			"http://app.example.org": false, "https://app.example.org.": false, "https://app.example.org:443": false, "HTTPS://APP.EXAMPLE.ORG": false,
			"https://app.example.org.evil.example": false, "https://xapp.example.org": false, "https://evil.app.example.org": false,
			"https://app.example.org/": false, application + "," + second: false, application + " " + second: false, "https://admin.example.org": false,
		} {
			header := []string{}
			if origin != "" {
				header = []string{"Origin", origin}
			}
			a := h.do(t, "GET", path, "", header...)
			want := ""
			if allowed {
				want = origin
			}
			if got := a.header.Get("Access-Control-Allow-Origin"); got != want {
				t.Errorf("%s from %q: allowed %q", path, origin, got)
			}
			if got := a.header.Get("Access-Control-Allow-Credentials"); (got == "true") != allowed || got == "true" != (got != "") {
				t.Errorf("%s from %q: credentials %q", path, origin, got)
			}
			if !strings.Contains(a.header.Get("Vary"), "Origin") {
				t.Errorf("%s from %q: Vary is %q, so that a cache could give one origin's answer to another", path, origin, a.header.Get("Vary"))
			}
			if exposed := a.header.Get("Access-Control-Expose-Headers"); allowed &&
				(!strings.Contains(exposed, "X-Request-Id") || !strings.Contains(exposed, "Retry-After")) {
				t.Errorf("%s from %q: exposed %q", path, origin, exposed)
			}
		}
	}
	// Two Origin headers are nobody's.
	if a := h.do(t, "GET", "/v1/me", "", "Origin", application, "Origin", "https://evil.example"); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("two origins: %v", a.header)
	}
	// Pages are for people alone.
	if a := h.do(t, "GET", "/account", "", "Origin", application); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a page: %v", a.header)
	}
}

// NET-3: a preflight is answered once in two hours, and promises no more than
// the API takes.
func TestNET3_Preflight(t *testing.T) {
	h := edgeHouse(t)
	ask := func(path, origin, method, headers string) answer {
		header := []string{"Origin", origin, "Access-Control-Request-Method", method}
		if headers != "" {
			header = append(header, "Access-Control-Request-Headers", headers)
		}
		return h.do(t, "OPTIONS", path, "", header...)
	}
	a := ask("/v1/me", application, "PATCH", "authorization,content-type,x-csrf-token")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": application, "Access-Control-Allow-Methods": "PATCH", "Access-Control-Max-Age": "7200",
		"Access-Control-Allow-Headers": "authorization,content-type,x-csrf-token", "Access-Control-Allow-Credentials": "true",
		"X-Frame-Options": "DENY", "Cache-Control": "no-store",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if a.status != 204 || a.body != "" || !uuid7.MatchString(a.header.Get("X-Request-Id")) {
		t.Errorf("a preflight: %v", a)
	}
	if line := h.log.line(t, 0); line["status"] != 204.0 || line["method"] != "OPTIONS" {
		t.Errorf("its line: %v", line)
	}
	for name, a := range map[string]answer{
		"another origin":  ask("/v1/me", "https://evil.example", "PATCH", ""),
		"null":            ask("/v1/me", "null", "PATCH", ""),
		"an odd method":   ask("/v1/me", application, "TRACE", ""),
		"an odd header":   ask("/v1/me", application, "PATCH", "x-forwarded-for"),
		"a page":          ask("/account", application, "GET", ""),
		"no CORS_ORIGINS": preflightWithoutOrigins(t),
	} {
		for name2 := range a.header {
			if strings.HasPrefix(name2, "Access-Control-") {
				t.Errorf("%s: %s %q", name, name2, a.header[name2])
			}
		}
	}
	// What is no preflight is a method like any other.
	if a := h.do(t, "OPTIONS", "/v1/me", "", "Origin", application); a.status != 405 {
		t.Errorf("OPTIONS: %v", a)
	}
}

func preflightWithoutOrigins(t *testing.T) answer {
	t.Helper()
	h := newHouse(t, func(s *Stack, _ *http.Server) { s.Edge = NewEdge(EdgeConfig{PublicURL: "https://login.example.org"}) })
	h.handle("GET /v1/me", ok)
	return h.do(t, "OPTIONS", "/v1/me", "", "Origin", application, "Access-Control-Request-Method", "GET")
}

// NET-2, NET-3: an application's scripts may use the cookies, with the token;
// nobody else's may, token or not, and forms of an application may not.
func TestNET3_CookiesOfApplications(t *testing.T) {
	c := &Cookies{Secure: true, Origin: "https://login.example.org", Applications: []string{application}, Key: func() []byte { return []byte("k") }}
	for name, test := range map[string]struct {
		origin []string
		site   string
		caller bool
	}{
		"an application's":           {[]string{application}, "same-site", true},
		"an application's, afar":     {[]string{application}, "cross-site", true},
		"our own":                    {[]string{"https://login.example.org"}, "same-origin", true},
		"another's":                  {[]string{"https://evil.example"}, "cross-site", false},
		"a sibling's":                {[]string{"https://x.example.org"}, "same-site", false},
		"two":                        {[]string{application, "https://evil.example"}, "cross-site", false},
		"two of which ours is first": {[]string{"https://login.example.org", application}, "cross-site", false},
		"none, from another site":    {nil, "cross-site", false},
	} {
		r := httptest.NewRequest("POST", "https://login.example.org/v1/logout", nil)
		r.Header["Origin"] = test.origin
		r.Header.Set("Sec-Fetch-Site", test.site)
		if err := c.CheckCaller(r); (err == nil) != test.caller {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.CheckCSRF(r, "sid", ""); err == nil {
			t.Errorf("%s, without the token: let through", name)
		}
		r.Header.Set(CSRFHeader, c.CSRF("sid"))
		if err := c.CheckCSRF(r, "sid", ""); (err == nil) != test.caller {
			t.Errorf("%s, with the token: %v", name, err)
		}
		if err := c.CheckOrigin(r); (err == nil) != (name == "our own") {
			t.Errorf("a form, %s: %v", name, err)
		}
	}
}

// HDR-1: HSTS comes over TLS and by a name that is not every developer's.
func TestHDR1_HSTS(t *testing.T) {
	for _, test := range []struct {
		public, url string
		want        string
	}{
		{"https://login.example.org", "https://login.example.org/", "max-age=31536000; includeSubDomains"},
		{"https://login.example.org", "http://login.example.org/", ""},
		{"https://localhost:8000", "https://localhost:8000/", ""},
		{"https://auth.localhost", "https://auth.localhost/", ""},
		{"http://login.example.org", "https://login.example.org/", ""},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", test.url, nil)
		NewEdge(EdgeConfig{PublicURL: test.public}).setTransportSecurity(&exchange{ResponseWriter: w, caller: callerOf(r)})
		if got := w.Header().Get("Strict-Transport-Security"); got != test.want {
			t.Errorf("%s asked at %s: %q", test.public, test.url, got)
		}
	}
}
