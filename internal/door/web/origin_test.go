package web

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// ASVS 4.1.3, 15.3.4: the connection alone says who is calling.
func TestOriginAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:1234":          "192.0.2.1",
		"[::ffff:192.0.2.1]:1234": "192.0.2.1",
		"[2001:db8::1]:1234":      "2001:db8::1",
		"[fe80::1%eth0]:1234":     "fe80::1",
		"@":                       "invalid IP",
		"":                        "invalid IP",
		"192.0.2.1":               "invalid IP",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = remote
		for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "True-Client-Ip", "Cf-Connecting-Ip"} {
			r.Header.Set(name, "198.51.100.7")
		}
		if got := Origin(r).Address.String(); got != want {
			t.Errorf("%q: got %s, want %s", remote, got, want)
		}
	}
}

func TestOriginThroughTheServer(t *testing.T) {
	h := newHouse(t, nil)
	var agent string
	var address netip.Addr
	h.handle("GET /", func(w http.ResponseWriter, r *http.Request) error {
		agent, address = Origin(r).UserAgent, Origin(r).Address
		return ok(w, r)
	})
	h.raw(t, "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.7\r\nUser-Agent: curl\t\xff\xe2\x80\xae1\r\nUser-Agent: second\r\n\r\n")
	if want := "curl\ufffd\ufffd\ufffd1"; agent != want || address != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("got %q from %v, want %q", agent, address, want)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "",
		"Mozilla/5.0 (X11)":               "Mozilla/5.0 (X11)",
		strings.Repeat("a", 256):          strings.Repeat("a", 256),
		strings.Repeat("a", 257):          strings.Repeat("a", 256),
		strings.Repeat("a", 255) + "é":    strings.Repeat("a", 255),
		strings.Repeat("a", 254) + "é":    strings.Repeat("a", 254) + "é",
		strings.Repeat("a", 253) + "😀b":   strings.Repeat("a", 253),
		strings.Repeat("a", 255) + "\xff": strings.Repeat("a", 255),
		"a\x00b\r\nc\x1b[31m\x7f":         "a\ufffdb\ufffd\ufffdc\ufffd[31m\ufffd",
		"\u0085\u2028\u202e\u200b\ufeff":  strings.Repeat("\ufffd", 5),
		"{\"level\":\"x\"}":               "{\"level\":\"x\"}",
	} {
		if got := printable(in, maxUserAgent); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzUserAgent(f *testing.F) {
	for _, seed := range []string{"", "curl/8", "\xff\xfe", "é😀", strings.Repeat("é", 200), "a\nb\x00", strings.Repeat("a", 253) + "😀"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["User-Agent"] = []string{s}
		got := Origin(r).UserAgent
		if len(got) > maxUserAgent || !utf8.ValidString(got) {
			t.Fatalf("%q: got %q of %d bytes", s, got, len(got))
		}
		for _, c := range got {
			if !unicode.IsPrint(c) {
				t.Fatalf("%q: got %q", s, got)
			}
		}
		if printable(got, maxUserAgent) != got {
			t.Fatalf("%q: %q is not stable", s, got)
		}
	})
}
