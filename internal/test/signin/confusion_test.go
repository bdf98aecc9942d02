package signin_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestJWT4_TokenKindsAreNotConfused brings each kind of secret to each door: it
// opens its own and no other.
func TestJWT4_TokenKindsAreNotConfused(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	app := h.Application("shop")
	h.Register("ada@example.org")
	b := h.Browser()
	b.SignIn("ada@example.org")
	s := h.Login("ada@example.org")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(app["Authorization"][0], "Basic "))
	if err != nil {
		t.Fatal(err)
	}
	id, secret, _ := strings.Cut(string(raw), ":")
	device := ""
	for _, c := range b.Jar.Cookies(b.Origin()) {
		if strings.HasPrefix(c.Name, "gatehouse_dc_") {
			device = c.Value
		}
	}
	kinds := map[string]string{
		"access": s.Str("access_token"), "refresh": s.Str("refresh_token"), "client": secret, "csrf": b.Cookie("gatehouse_csrf"), "device": device,
		"session id": s.Str("session_id"), "client id": id,
	}
	get := func(path, name, value string) harness.Request {
		return harness.Request{Method: "GET", Path: path, Header: http.Header{name: {value}}}
	}
	doors := map[string]struct {
		opens func(token string) harness.Request
		takes []string
	}{
		"bearer":              {func(s string) harness.Request { return get("/v1/me", "Authorization", "Bearer "+s) }, []string{"access"}},
		"access cookie":       {func(s string) harness.Request { return get("/v1/me", "Cookie", "gatehouse_at="+s) }, []string{"access"}},
		"forward-auth":        {func(s string) harness.Request { return get("/v1/forward-auth", "Authorization", "Bearer "+s) }, []string{"access"}},
		"forward-auth cookie": {func(s string) harness.Request { return get("/v1/forward-auth", "Cookie", "gatehouse_at="+s) }, []string{"access"}},
		"client":              {func(s string) harness.Request { return harness.Basic(id, s).Ask("/v1/token/introspect", "x") }, []string{"client"}},
		"feed":                {func(s string) harness.Request { return harness.Basic(id, s).Follow("", "0") }, []string{"client"}},
		"refresh cookie": {func(s string) harness.Request {
			return harness.Request{Method: "POST", Path: "/v1/token/refresh",
				Header: http.Header{"Cookie": {"gatehouse_rt=" + s}, "X-Csrf-Token": {b.Cookie("gatehouse_csrf")}}}
		}, nil}, // the token is of another session
		"logout": {func(s string) harness.Request {
			return harness.Post("/v1/logout", map[string]string{"refresh_token": s})
		}, []string{"refresh"}},
		"refresh": {harness.Refreshing, []string{"refresh"}},
	}
	for door, d := range doors {
		if door == "logout" || door == "refresh" {
			continue // they end what the others need
		}
		for kind, token := range kinds {
			takes := false
			for _, k := range d.takes {
				takes = takes || k == kind
			}
			if a := h.Do(d.opens(token)); (a.Status == 200) != takes || a.Status >= 500 {
				t.Errorf("%s at the door for %s: %d %s", kind, door, a.Status, a.Text)
			}
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) { // the access token comes before the refresh token
		token := kinds[kind]
		if a := h.Active(app, token); (a.Fields["active"] == true) != (kind == "access" || kind == "refresh") {
			t.Errorf("introspection of %s: %s", kind, a.Text)
		}
		for _, door := range []string{"logout", "refresh"} {
			if a := h.Do(doors[door].opens(token)); kind != "refresh" && a.Status != 401 {
				t.Errorf("%s at the door for %s: %d %s", kind, door, a.Status, a.Text)
			}
			if kind == "refresh" {
				break // it has ended its session
			}
		}
	}
}

// TestNET2_CookiesOfPlainHTTPDoNotCount: whoever can write on the wire, or on a
// sibling's page, can plant cookies without the prefix, and none with it.
func TestNET2_CookiesOfPlainHTTPDoNotCount(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "PUBLIC_URL=https://login.example")
	h.Register("ada@example.org")
	h.Register("eve@example.org")
	ada, eve := h.Login("ada@example.org").Str("access_token"), h.Login("eve@example.org").Str("access_token")
	for _, path := range []string{"/v1/me", "/v1/forward-auth"} {
		h.Expect(401, "not_signed_in", harness.Request{Method: "GET", Path: path, Header: http.Header{"Cookie": {"gatehouse_at=" + eve}}})
		for _, cookies := range []string{"gatehouse_at=" + eve + "; __Host-gatehouse_at=" + ada, "__Host-gatehouse_at=" + ada + "; gatehouse_at=" + eve,
			"__Secure-gatehouse_at=" + eve + "; __Host-gatehouse_at=" + ada} {
			a := h.Expect(200, "", harness.Request{Method: "GET", Path: path, Header: http.Header{"Cookie": {cookies}}})
			if a.Str("email")+a.Header.Get("X-Auth-Email") != "ada@example.org" {
				t.Errorf("%s: %v %s", path, a.Header, a.Text)
			}
		}
		// Names are matched to the letter, as browsers guard the prefix.
		h.Expect(401, "not_signed_in", harness.Request{Method: "GET", Path: path, Header: http.Header{"Cookie": {"__host-gatehouse_at=" + eve}}})
	}
	h.Expect(400, "required", harness.Request{Method: "POST", Path: "/v1/token/refresh", Header: http.Header{"Cookie": {"gatehouse_rt=" + eve}}})
}
