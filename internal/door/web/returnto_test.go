package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// TestCaseB7_ReturnToKeepsTheOrigin: whatever stands behind an origin of ours comes back as it is; nothing else leads anywhere.
func TestCaseB7_ReturnToKeepsTheOrigin(t *testing.T) {
	c := &Cookies{Secure: true, Origin: "https://login.example", Applications: []string{"https://app.example", "https://login.example:8443"}}
	for s, want := range map[string]string{
		"/a": "/a", "/a?b=c&d=e": "/a?b=c&d=e", "/a%2Fb": "/a%2Fb", "/a;b": "/a;b", "/a//b": "/a//b", "/a?q=100%": "/a?q=100%", "/a%zz": "/a%zz", "/#/x": "/#/x",
		"https://login.example//evil.example": "https://login.example//evil.example", `https://login.example/\evil.example`: `https://login.example/\evil.example`,
		"https://login.example": "/", "https://login.example?x": "/?x", "https://app.example": "https://app.example/",
		"https://app.example//evil.example": "https://app.example//evil.example",
		"https://login.example:8443/a":      "https://login.example:8443/a",
		"/é b\r\nSet-Cookie: a=b":           "/%C3%A9%20b%0D%0ASet-Cookie:%20a=b", "/\t/evil.example": "/%09/evil.example",
	} {
		if got := c.ReturnTo(s, "home"); got != want {
			t.Errorf("%q leads to %q, want %q", s, got, want)
		}
	}
	for _, s := range []string{
		"", "a", "//evil.example", `/\evil.example`, `\\evil.example`, "https://evil.example", "https://login.example.evil.example/",
		"https://login.example@evil.example/",
		"https://login.example:8443@evil.example/", `https://login.example\.evil.example`, "http://login.example/", "HTTPS://LOGIN.EXAMPLE/", "javascript:alert(1)",
		" https://app.example", "/" + strings.Repeat("a", 20000),
	} {
		if got := c.ReturnTo(s, "home"); got != "home" {
			t.Errorf("%q leads to %q", s, got)
		}
	}
}

// FuzzReturnTo: an address that is returned to is one that net/url, as browsers do, resolves to an origin of ours.
func FuzzReturnTo(f *testing.F) {
	for _, s := range []string{"/a", "//e", `/\e`, "https://login.example/x", "https://app.example?", "https://login.example@e", "/\t/e", "/%zz"} {
		f.Add(s)
	}
	c := &Cookies{Secure: true, Origin: "https://login.example", Applications: []string{"https://app.example"}}
	f.Fuzz(func(t *testing.T, s string) {
		to := c.ReturnTo(s, "/home")
		if strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Fatalf("%q leads to %q, which no header can hold", s, to)
		}
		seen := strings.ReplaceAll(to, `\`, "/") // as browsers read it
		switch {
		case strings.HasPrefix(seen, "/") && !strings.HasPrefix(seen, "//"):
		case strings.HasPrefix(seen, "https://login.example/"), strings.HasPrefix(seen, "https://app.example/"):
		default:
			t.Fatalf("%q leads to %q", s, to)
		}
		if again := c.ReturnTo(to, "/home"); again != to {
			t.Fatalf("%q leads to %q, and that to %q", s, to, again)
		}
		r := httptest.NewRequest("GET", "/login", nil)
		_, r.URL.RawQuery, _ = strings.Cut(WithReturnTo("/login", to), "?")
		if back := Parameter(r, "return_to"); back != to {
			t.Fatalf("%q comes back from the address as %q", to, back)
		}
		w := httptest.NewRecorder()
		c.PutReturnTo(w, to)
		kept := w.Result().Cookies()
		if len(kept) == 0 {
			return // too long
		}
		r.AddCookie(kept[0])
		if back := c.Returning(r); back != to || len(kept[0].String()) > 4096 {
			t.Fatalf("%q comes back from the cookie as %q", to, back)
		}
	})
}

// TestCaseB7_AddressesThatProxiesTell: with the port that they leave out, or write though browsers do not.
func TestCaseB7_AddressesThatProxiesTell(t *testing.T) {
	c := &Cookies{Secure: true, Origin: "https://login.example:8443", Applications: []string{"https://app.example"}}
	for _, test := range []struct{ proto, host, uri, want string }{
		{"https", "login.example:8443", "/a", "/a"}, {"https", "login.example", "//a?b", "https://login.example:8443//a?b"},
		{"https", "app.example:443", "/a", "https://app.example/a"},
		{"http", "login.example", "/a", ""}, {"https", "evil.example", "/a", ""}, {"https", "login.example:9", "/a", ""},
		{"https", "login.example@evil.example", "/a", ""},
	} {
		f := Forwarded{URL: test.proto + "://" + withoutDefaultPort(test.proto, test.host) + test.uri}
		if got := c.ReturnTo(c.PageOf(f), ""); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
	long := "/?" + strings.Repeat("%C3%A9", 1365)
	if login := WithReturnTo("/login", long); len(login) > 16<<10-100 {
		t.Errorf("8 KiB make a line of %d bytes, which nginx does not take", len(login))
	}
	if _, err := url.Parse(WithReturnTo("/login", long)); err != nil {
		t.Error(err)
	}
}

// TestASVS_V10_1_1_CookiesWithoutOurs: whatever a browser or an attacker writes into the header.
func TestASVS_V10_1_1_CookiesWithoutOurs(t *testing.T) {
	for _, test := range []struct {
		lines []string
		want  string
	}{
		{nil, ""}, {[]string{"gatehouse_at=x; __Host-gatehouse_rt=y;__Host-gatehouse_dc_ab=z"}, ""},
		{[]string{`a=b; __Host-gatehouse_at=x; c="d e"`, "__Secure-gatehouse_to=x;f"}, `a=b; c="d e"; f`},
		{[]string{"__HOST-GATEHOUSE_RT=x; \"gatehouse_rt\"=x; gatehouse_rt =x ;\tgatehouse_csrf=x; not_gatehouse_rt=1"}, "not_gatehouse_rt=1"},
	} {
		if got := WithoutOurs(&http.Request{Header: http.Header{"Cookie": test.lines}}); got != test.want {
			t.Errorf("%q: %q, want %q", test.lines, got, test.want)
		}
	}
}
