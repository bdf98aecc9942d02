package proxies_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestForwardAuthSendsPeopleToSignIn: back to where they were, if that is ours,
// as a trusted proxy sends it.
func TestForwardAuthSendsPeopleToSignIn(t *testing.T) {
	settings := []string{"PUBLIC_URL=https://login.example", "CORS_ORIGINS=https://app.example"}
	h := harness.Open(t, dbtest.SQLite(t), append(settings, "TRUSTED_PROXIES=127.0.0.1")...)
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
		a := h.Expect(302, "", harness.Request{Method: "GET", Path: "/v1/forward-auth?redirect=1", Header: harness.AsksFor("GET", c.proto, c.host, c.uri)})
		if a.Header.Get("Location") != c.want || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", c.name, a.Header)
		}
	}
	// Only pages go there, and only where it was asked for.
	page := harness.AsksFor("GET", "https", "login.example", "/a")
	h.Expect(401, "not_signed_in", harness.Request{Method: "GET", Path: "/v1/forward-auth", Header: page})
	h.Expect(401, "not_signed_in", harness.Request{Method: "GET", Path: "/v1/forward-auth?redirect=1",
		Header: harness.AsksFor("POST", "https", "login.example", "/a")})
	page.Set("Accept", "application/json")
	h.Expect(401, "not_signed_in", harness.Request{Method: "GET", Path: "/v1/forward-auth?redirect=1", Header: page})
	h.Expect(400, "invalid_redirect", harness.Request{Method: "GET", Path: "/v1/forward-auth?redirect=https://evil.example", Header: page})
	h.Expect(400, "unknown_parameter", harness.Request{Method: "GET", Path: "/v1/forward-auth?next=/a", Header: page})
	// A stranger is believed nothing.
	h = harness.Open(t, dbtest.SQLite(t), settings...)
	a := h.Expect(302, "", harness.Request{Method: "GET", Path: "/v1/forward-auth?redirect=1", Header: harness.AsksFor("GET", "https", "login.example", "/a")})
	if a.Header.Get("Location") != login {
		t.Errorf("from a stranger: %v", a.Header)
	}
}

// TestWhoIsSignedInGoesBackAtOnce: from the sign-in page, with new tokens if
// need be.
func TestWhoIsSignedInGoesBackAtOnce(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	h.Register("ada@example.org")
	b := h.Browser()
	b.SignIn("ada@example.org")
	to := harness.Get("/login?return_to=%2Fapp%3Fa%3Db")
	if a := b.Send(to); a.Status != 303 || a.Header.Get("Location") != "/app?a=b" {
		t.Errorf("signed in: %d %v", a.Status, a.Header)
	}
	b.Jar.SetCookies(b.Origin(), []*http.Cookie{{Name: "gatehouse_at", Value: "", MaxAge: -1, Path: "/"}})
	if a := b.Send(harness.Get(to.Path)); a.Status != 303 || b.Cookie("gatehouse_at") == "" {
		t.Errorf("with a refresh token alone: %d %v", a.Status, a.Header)
	}
	for _, path := range []string{"/login", "/login?return_to=%2F%2Fevil.example"} {
		if a := b.Send(harness.Get(path)); a.Status != 303 || a.Header.Get("Location") != "/account" {
			t.Errorf("%s: %d %v", path, a.Status, a.Header)
		}
	}
	// A browser that was led here by another site sends its strict cookies when
	// this page asks again.
	stranger := h.Browser()
	a := stranger.Send(harness.Request{Method: "GET", Path: to.Path, Header: http.Header{"Sec-Fetch-Site": {"cross-site"}}})
	if a.Status != 200 || a.Header.Get("Refresh") != "0" {
		t.Errorf("from another site: %d %v", a.Status, a.Header)
	}
	if a := stranger.Send(harness.Request{Method: "GET", Path: to.Path, Header: http.Header{"Sec-Fetch-Site": {"same-origin"}}}); a.Status != 200 ||
		a.Header.Get("Refresh") != "" {
		t.Errorf("the second time: %d %v", a.Status, a.Header)
	}
}

// TestForwardAuthAsksNoDatabase: while the replica knows what is revoked, and once it
// has seen the account.
func TestForwardAuthAsksNoDatabase(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		app := h.Application("shop")
		h.Register("ada@example.org")
		s := h.Login("ada@example.org")
		check := harness.Get("/v1/forward-auth", s.Str("access_token"))
		h.Expect(200, "", check)
		h.Active(app, s.Str("access_token"))
		d := h.Database()
		err := d.Write(h.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE account SET email = 'changed@example.org'`)
			return err
		})
		if err != nil {
			h.Fatal(err)
		}
		for range 50 {
			if a := h.Expect(200, "", check); a.Header.Get("X-Auth-Email") != "ada@example.org" {
				h.Fatalf("it was looked up again: %v", a.Header)
			}
			if h.Active(app, s.Str("access_token")).Fields["active"] != true {
				h.Fatal("it is not active")
			}
		}
	})
}

// TestForwardAuthTellsANewAddress: after a minute at the latest.
func TestForwardAuthTellsANewAddress(t *testing.T) {
	c := &harness.Clock{}
	h := harness.OpenAt(t, dbtest.SQLite(t), c.Now)
	h.Register("ada@example.org")
	s := h.Login("ada@example.org")
	check := harness.Get("/v1/forward-auth", s.Str("access_token"))
	h.Expect(200, "", check)
	err := h.Database().Write(h.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE account SET email = 'changed@example.org'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Set(61 * time.Second)
	h.Ready()
	if a := h.Expect(200, "", check); !strings.HasPrefix(a.Header.Get("X-Auth-Email"), "changed") {
		t.Errorf("%v", a.Header)
	}
}
