package client

import (
	"strings"
	"testing"
)

// TestASVS_V10_4_1_OnlyExactRedirectURIsAreTaken: registered addresses are compared byte for byte; a native application's on
// loopback takes any port, and nothing else.
func TestASVS_V10_4_1_OnlyExactRedirectURIsAreTaken(t *testing.T) {
	web := Client{Type: Web, Settings: Settings{RedirectURIs: []string{"https://app.example.com/cb", "https://app.example.com/cb?a=1", "http://localhost/cb"}}}
	for uri, want := range map[string]bool{
		"https://app.example.com/cb": true, "https://app.example.com/cb?a=1": true, "http://localhost/cb": true,
		"https://app.example.com/cb/": false, "https://app.example.com/CB": false, "https://app.example.com/cb?a=2": false,
		"https://app.example.com/cb?": false, "https://app.example.com/cb#": false, "https://app.example.com:443/cb": false,
		"https://app.example.com/x/../cb": false, "https://app.example.com/%63b": false, "https://APP.example.com/cb": false,
		"https://app.example.com.evil.org/cb": false, "https://app.example.com@evil.org/cb": false, "//app.example.com/cb": false,
		"http://localhost:1/cb": false, "": false,
	} {
		if got := web.Redirects(uri); got != want {
			t.Errorf("web %q: %v", uri, got)
		}
	}
	native := Client{Type: Native, Settings: Settings{RedirectURIs: []string{
		"http://127.0.0.1/cb", "http://[::1]/cb", "http://localhost/", "http://127.0.0.1:7/fixed", "com.example.app:/cb",
	}}}
	for uri, want := range map[string]bool{
		"http://127.0.0.1/cb": true, "http://127.0.0.1:1/cb": true, "http://127.0.0.1:65535/cb": true, "http://[::1]:8080/cb": true,
		"http://localhost:3000/": true, "com.example.app:/cb": true, "http://127.0.0.1:7/fixed": true,
		"http://127.0.0.1:8/fixed": false, "http://127.0.0.1:0/cb": false, "http://127.0.0.1:65536/cb": false, "http://127.0.0.1:080/cb": false,
		"http://127.0.0.1:80@evil.org/cb": false, "http://127.0.0.1:8080/cb/": false, "https://127.0.0.1:8080/cb": false,
		"http://127.9.9.9:1/cb": false, "http://user@127.0.0.1:5/cb": false, "http://127.0.0.1:5/cb#x": false, "http://localhost:1/cb": false,
		"http://127.0.0.1:/cb": false, "http://127.0.0.1: 5/cb": false, "com.example.app:/cb2": false,
	} {
		if got := native.Redirects(uri); got != want {
			t.Errorf("native %q: %v", uri, got)
		}
	}
}

func TestASVS_V10_4_1_WhatCanBeRegistered(t *testing.T) {
	for _, c := range []struct {
		uri  string
		good string // the types that may register it
	}{
		{"https://app.example.com/cb", "web spa native"},
		{"https://app.example.com:8443/cb?x=%2F", "web spa native"},
		{"http://127.0.0.1/cb", "web native"},
		{"http://[::1]:99/cb", "web native"},
		{"http://localhost:3000/", "web native"},
		{"com.example.app:/cb", "native"},
		{"http://app.example.com/cb", ""},
		{"http://127.0.0.1.evil.org/cb", ""},
		{"myapp:/cb", ""},
		{"javascript:alert(1)", ""},
		{"data:text/html,x", ""},
		{"https://app.example.com/cb#x", ""},
		{"https://user@app.example.com/cb", ""},
		{"https://*.example.com/cb", ""},
		{"https://app.example.com/a/../cb", ""},
		{"https://app.example.com/a/%2E%2e/cb", ""},
		{"https://app.example.com/cb\\@evil.org", ""},
		{"https://app.example.com/c b", ""},
		{"https://app.example.com/\u00e9", ""},
		{"https://App.example.com/cb", ""},
		{"https://app.example.com:/cb", ""},
		{"https://app.example.com:0/cb", ""},
		{"https:app.example.com/cb", ""},
		{"https:///cb", ""},
		{"HTTPS://app.example.com/cb", ""},
		{"/cb", ""},
		{"", ""},
		{"https://app.example.com/" + strings.Repeat("a", mostURI), ""},
	} {
		for _, kind := range []Type{Web, SPA, Native} {
			err := Settings{RedirectURIs: []string{c.uri}}.Check(kind, false)
			if want := strings.Contains(c.good, string(kind)); (err == nil) != want {
				t.Errorf("%s may register %.60q: %v", kind, c.uri, err)
			}
		}
	}
}

// FuzzRedirects: what is not registered is taken of a native application alone, and differs by its port.
func FuzzRedirects(f *testing.F) {
	f.Add("http://127.0.0.1/cb", "http://127.0.0.1:5/cb")
	f.Add("http://localhost/", "http://localhost:65536/")
	f.Add("https://a/", "https://a/")
	f.Fuzz(func(t *testing.T, registered, asked string) {
		c := Client{Type: Native, Settings: Settings{RedirectURIs: []string{registered}}}
		if !c.Redirects(asked) || registered == asked {
			return
		}
		var without string
		for i, r := range asked {
			if strings.HasPrefix(asked[i:], ":") && i > len("http:") && !strings.HasPrefix(asked[i:], "://") && !strings.Contains(asked[:i], "[") ||
				strings.HasPrefix(asked[i:], "]:") {
				head := asked[:i]
				rest := asked[i+1:]
				if r == ']' {
					head, rest = asked[:i+1], asked[i+2:]
				}
				without = head + strings.TrimLeft(rest, "0123456789")
				break
			}
		}
		if without != registered {
			t.Errorf("%q is taken for %q", asked, registered)
		}
		if (Client{Type: Web, Settings: c.Settings}).Redirects(asked) {
			t.Errorf("a web application is taken at %q for %q", asked, registered)
		}
	})
}

// FuzzSettings: what is read of a row is written the same way again, and what can be registered has one reading.
func FuzzSettings(f *testing.F) {
	f.Add(`{"redirect_uris":["https://a.example/cb"],"first_party":true}`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSettings(text)
		if err != nil {
			return
		}
		written, err := s.text()
		if err != nil {
			return
		}
		again, err := parseSettings(written)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := again.text(); err != nil || twice != written {
			t.Errorf("%q became %q, %v", written, twice, err)
		}
	})
}
