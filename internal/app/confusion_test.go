package app_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// TestJWT4_TokenKindsAreNotConfused brings each kind of secret to each door: it
// opens its own and no other.
func TestJWT4_TokenKindsAreNotConfused(t *testing.T) {
	h := open(t, dbtest.SQLite(t))
	app := h.application("shop")
	h.register("ada@example.org")
	b := h.browser()
	b.signIn("ada@example.org")
	s := h.login("ada@example.org")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(app["Authorization"][0], "Basic "))
	if err != nil {
		t.Fatal(err)
	}
	id, secret, _ := strings.Cut(string(raw), ":")
	device := ""
	for _, c := range b.jar.Cookies(b.origin()) {
		if strings.HasPrefix(c.Name, "gatehouse_dc_") {
			device = c.Value
		}
	}
	kinds := map[string]string{
		"access": s.str("access_token"), "refresh": s.str("refresh_token"), "client": secret, "csrf": b.cookie("gatehouse_csrf"), "device": device,
		"session id": s.str("session_id"), "client id": id,
	}
	get := func(path, name, value string) request {
		return request{method: "GET", path: path, header: http.Header{name: {value}}}
	}
	doors := map[string]struct {
		opens func(token string) request
		takes []string
	}{
		"bearer":              {func(s string) request { return get("/v1/me", "Authorization", "Bearer "+s) }, []string{"access"}},
		"access cookie":       {func(s string) request { return get("/v1/me", "Cookie", "gatehouse_at="+s) }, []string{"access"}},
		"forward-auth":        {func(s string) request { return get("/v1/forward-auth", "Authorization", "Bearer "+s) }, []string{"access"}},
		"forward-auth cookie": {func(s string) request { return get("/v1/forward-auth", "Cookie", "gatehouse_at="+s) }, []string{"access"}},
		"client":              {func(s string) request { return basic(id, s).ask("/v1/token/introspect", "x") }, []string{"client"}},
		"feed":                {func(s string) request { return basic(id, s).follow("", "0") }, []string{"client"}},
		"refresh cookie": {func(s string) request {
			return request{method: "POST", path: "/v1/token/refresh", header: http.Header{"Cookie": {"gatehouse_rt=" + s}, "X-Csrf-Token": {b.cookie("gatehouse_csrf")}}}
		}, nil}, // the token is of another session
		"logout": {func(s string) request {
			return request{method: "POST", path: "/v1/logout", body: map[string]string{"refresh_token": s}}
		}, []string{"refresh"}},
		"refresh": {refreshing, []string{"refresh"}},
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
			if a := h.do(d.opens(token)); (a.status == 200) != takes || a.status >= 500 {
				t.Errorf("%s at the door for %s: %d %s", kind, door, a.status, a.text)
			}
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) { // the access token comes before the refresh token
		token := kinds[kind]
		if a := h.active(app, token); (a.fields["active"] == true) != (kind == "access" || kind == "refresh") {
			t.Errorf("introspection of %s: %s", kind, a.text)
		}
		for _, door := range []string{"logout", "refresh"} {
			if a := h.do(doors[door].opens(token)); kind != "refresh" && a.status != 401 {
				t.Errorf("%s at the door for %s: %d %s", kind, door, a.status, a.text)
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
	h := open(t, dbtest.SQLite(t), "PUBLIC_URL=https://login.example")
	h.register("ada@example.org")
	h.register("eve@example.org")
	ada, eve := h.login("ada@example.org").str("access_token"), h.login("eve@example.org").str("access_token")
	for _, path := range []string{"/v1/me", "/v1/forward-auth"} {
		h.expect(401, "not_signed_in", request{method: "GET", path: path, header: http.Header{"Cookie": {"gatehouse_at=" + eve}}})
		for _, cookies := range []string{"gatehouse_at=" + eve + "; __Host-gatehouse_at=" + ada, "__Host-gatehouse_at=" + ada + "; gatehouse_at=" + eve, "__Secure-gatehouse_at=" + eve + "; __Host-gatehouse_at=" + ada} {
			a := h.expect(200, "", request{method: "GET", path: path, header: http.Header{"Cookie": {cookies}}})
			if a.str("email")+a.header.Get("X-Auth-Email") != "ada@example.org" {
				t.Errorf("%s: %v %s", path, a.header, a.text)
			}
		}
		// Names are matched to the letter, as browsers guard the prefix.
		h.expect(401, "not_signed_in", request{method: "GET", path: path, header: http.Header{"Cookie": {"__host-gatehouse_at=" + eve}}})
	}
	h.expect(400, "required", request{method: "POST", path: "/v1/token/refresh", header: http.Header{"Cookie": {"gatehouse_rt=" + eve}}})
}
