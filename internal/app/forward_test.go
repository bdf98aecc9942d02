package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// asksFor are the headers with which a proxy asks about a request for a page.
func asksFor(method, proto, host, uri string) http.Header {
	return http.Header{
		"X-Forwarded-Method": {method}, "X-Forwarded-Proto": {proto}, "X-Forwarded-Host": {host}, "X-Forwarded-Uri": {uri},
		"X-Forwarded-For": {"192.0.2.9"}, "Accept": {"text/html"},
	}
}

// TestForwardAuthSendsPeopleToSignIn: back to where they were, if that is ours,
// as a trusted proxy tells it.
func TestForwardAuthSendsPeopleToSignIn(t *testing.T) {
	settings := []string{"PUBLIC_URL=https://login.example", "CORS_ORIGINS=https://app.example"}
	h := open(t, dbtest.SQLite(t), append(settings, "TRUSTED_PROXIES=127.0.0.1")...)
	const login = "https://login.example/login"
	for _, c := range []struct{ name, proto, host, uri, want string }{
		{"a path", "https", "login.example", "/a?b=c&d=e", login + "?return_to=" + url.QueryEscape("/a?b=c&d=e")},
		{"an application", "https", "app.example", "/a", login + "?return_to=" + url.QueryEscape("https://app.example/a")},
		{"another host", "https", "evil.example", "/a", login},
		{"another scheme", "http", "app.example", "/a", login},
		{"a host in the path", "https", "login.example", "//evil.example", login + "?return_to=" + url.QueryEscape("https://login.example//evil.example")},
		{"a host in the host", "https", "login.example@evil.example", "/", login},
		{"a backslash", "https", "login.example", `/\evil.example`, login + "?return_to=" + url.QueryEscape(`https://login.example/\evil.example`)},
		{"nothing", "", "", "", login},
	} {
		a := h.expect(302, "", request{method: "GET", path: "/v1/forward-auth?redirect=1", header: asksFor("GET", c.proto, c.host, c.uri)})
		if a.header.Get("Location") != c.want || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", c.name, a.header)
		}
	}
	// Only pages go there, and only where it was asked for.
	page := asksFor("GET", "https", "login.example", "/a")
	h.expect(401, "not_signed_in", request{method: "GET", path: "/v1/forward-auth", header: page})
	h.expect(401, "not_signed_in", request{method: "GET", path: "/v1/forward-auth?redirect=1", header: asksFor("POST", "https", "login.example", "/a")})
	page.Set("Accept", "application/json")
	h.expect(401, "not_signed_in", request{method: "GET", path: "/v1/forward-auth?redirect=1", header: page})
	h.expect(400, "invalid_redirect", request{method: "GET", path: "/v1/forward-auth?redirect=https://evil.example", header: page})
	h.expect(400, "unknown_parameter", request{method: "GET", path: "/v1/forward-auth?next=/a", header: page})
	// A stranger is believed nothing.
	h = open(t, dbtest.SQLite(t), settings...)
	a := h.expect(302, "", request{method: "GET", path: "/v1/forward-auth?redirect=1", header: asksFor("GET", "https", "login.example", "/a")})
	if a.header.Get("Location") != login {
		t.Errorf("from a stranger: %v", a.header)
	}
}

// TestWhoIsSignedInGoesBackAtOnce: from the sign-in page, with new tokens if
// need be.
func TestWhoIsSignedInGoesBackAtOnce(t *testing.T) {
	h := open(t, dbtest.SQLite(t))
	h.register("ada@example.org")
	b := h.browser()
	b.signIn("ada@example.org")
	to := request{method: "GET", path: "/login?return_to=%2Fapp%3Fa%3Db"}
	if a := b.send(to); a.status != 303 || a.header.Get("Location") != "/app?a=b" {
		t.Errorf("signed in: %d %v", a.status, a.header)
	}
	b.jar.SetCookies(b.origin(), []*http.Cookie{{Name: "gatehouse_at", Value: "", MaxAge: -1, Path: "/"}})
	if a := b.send(request{method: "GET", path: to.path}); a.status != 303 || b.cookie("gatehouse_at") == "" {
		t.Errorf("with a refresh token alone: %d %v", a.status, a.header)
	}
	for _, path := range []string{"/login", "/login?return_to=%2F%2Fevil.example"} {
		if a := b.send(request{method: "GET", path: path}); a.status != 303 || a.header.Get("Location") != "/account" {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
	// A browser that was led here by another site sends its strict cookies when
	// this page asks again.
	stranger := h.browser()
	a := stranger.send(request{method: "GET", path: to.path, header: http.Header{"Sec-Fetch-Site": {"cross-site"}}})
	if a.status != 200 || a.header.Get("Refresh") != "0" {
		t.Errorf("from another site: %d %v", a.status, a.header)
	}
	if a := stranger.send(request{method: "GET", path: to.path, header: http.Header{"Sec-Fetch-Site": {"same-origin"}}}); a.status != 200 || a.header.Get("Refresh") != "" {
		t.Errorf("the second time: %d %v", a.status, a.header)
	}
}

// TestForwardAuthAsksNoDatabase: while the replica knows what is revoked, and once it
// has seen the account.
func TestForwardAuthAsksNoDatabase(t *testing.T) {
	each(t, func(h *house) {
		app := h.application("shop")
		h.register("ada@example.org")
		s := h.login("ada@example.org")
		check := request{method: "GET", path: "/v1/forward-auth", bearer: s.str("access_token")}
		h.expect(200, "", check)
		h.active(app, s.str("access_token"))
		d := h.database()
		err := d.Write(h.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE account SET email = 'changed@example.org'`)
			return err
		})
		if err != nil {
			h.Fatal(err)
		}
		for range 50 {
			if a := h.expect(200, "", check); a.header.Get("X-Auth-Email") != "ada@example.org" {
				h.Fatalf("it was looked up again: %v", a.header)
			}
			if h.active(app, s.str("access_token")).fields["active"] != true {
				h.Fatal("it is not active")
			}
		}
	})
}

// TestForwardAuthTellsANewAddress: after a minute at the latest.
func TestForwardAuthTellsANewAddress(t *testing.T) {
	c := &clock{}
	h := openAt(t, dbtest.SQLite(t), c.now)
	h.register("ada@example.org")
	s := h.login("ada@example.org")
	check := request{method: "GET", path: "/v1/forward-auth", bearer: s.str("access_token")}
	h.expect(200, "", check)
	err := h.database().Write(h.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE account SET email = 'changed@example.org'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.set(61 * time.Second)
	h.ready()
	if a := h.expect(200, "", check); !strings.HasPrefix(a.header.Get("X-Auth-Email"), "changed") {
		t.Errorf("%v", a.header)
	}
}
