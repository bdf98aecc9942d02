package proxies_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// checked is a request that a proxy asks about, with the browser's cookies, and hands no cookie back of.
func checked(b *harness.Browser, method string, header http.Header) harness.Answer {
	b.Helper()
	h := harness.AsksFor(method, "http", "127.0.0.1", "/app")
	h.Del("Accept")
	for name, values := range header {
		h[name] = values
	}
	for _, c := range b.Jar.Cookies(b.Origin()) {
		h.Add("Cookie", c.Name+"="+c.Value)
	}
	return b.Do(harness.Request{Method: "GET", Path: "/v1/forward-auth", Header: h})
}

// expire takes the access cookie away, as a browser does whose time is over.
func expire(b *harness.Browser) {
	b.Jar.SetCookies(b.Origin(), []*http.Cookie{{Name: "gatehouse_at", Value: "", MaxAge: -1, Path: "/"}})
}

// works makes all kinds of requests that a person's browser makes during work, with an hour of the day for the report.
func works(b *harness.Browser, at time.Duration) {
	b.Helper()
	ours := http.Header{"Sec-Fetch-Site": {"same-origin"}}
	for what, c := range map[string]struct {
		method string
		header http.Header
	}{
		"a page":      {"GET", http.Header{"Accept": {"text/html"}}},
		"a script":    {"GET", http.Header{"Accept": {"application/json"}}},
		"a form":      {"POST", ours},
		"a WebSocket": {"GET", http.Header{"Sec-Websocket-Key": {"x"}, "Sec-Fetch-Mode": {"websocket"}, "Sec-Fetch-Site": {"same-origin"}}},
		"a stream":    {"GET", http.Header{"Accept": {"text/event-stream"}, "Sec-Fetch-Site": {"same-origin"}}},
	} {
		if a := checked(b, c.method, c.header); a.Status != 200 || a.Header.Get("X-Auth-User") == "" {
			b.Fatalf("after %v, %s: %d %s", at, what, a.Status, a.Text)
		}
	}
	if a := b.Send(harness.Request{Method: "GET", Path: "/v1/me"}); a.Status != 200 || a.Str("csrf_token") != b.Cookie("gatehouse_csrf") {
		b.Fatalf("after %v, /v1/me: %d %s", at, a.Status, a.Text)
	}
	if a := b.Send(harness.Request{Method: "PATCH", Path: "/v1/me", Body: fmt.Sprintf(`{"name":"Ada %d"}`, int(at.Minutes())),
		Header: b.Csrf()}); a.Status != 200 {
		b.Fatalf("after %v, a change: %d %s", at, a.Status, a.Text)
	}
}

// TestCaseB6F2_AWorkingDay: eight hours behind forward-auth and in cookie mode, through a proxy that hands no cookie on:
// nobody is signed out or refused.
func TestCaseB6F2_AWorkingDay(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		c := &harness.Clock{}
		h := harness.OpenAt(t, dbURL, c.Now, "TRUSTED_PROXIES=127.0.0.1")
		h.Register("ada@example.org")
		b := h.Browser()
		b.SignIn("ada@example.org")
		second := &harness.Browser{Server: h, Jar: b.Jar} // a tab: the same cookies
		refreshed := b.Cookie("gatehouse_rt")
		for at := time.Duration(0); at <= 8*time.Hour; at += 7 * time.Minute {
			c.Set(at)
			if at > 15*time.Minute {
				expire(b)
			}
			works(b, at)
			works(second, at)
		}
		if b.Cookie("gatehouse_rt") != refreshed {
			t.Error("the check replaced the refresh token")
		}
		// A page of ours in the second tab replaces the tokens; the first one's request is still on its way with the old ones.
		before := &harness.Browser{Server: h, Jar: h.Browser().Jar}
		before.Jar.SetCookies(before.Origin(), b.Jar.Cookies(b.Origin()))
		if a := second.Send(harness.Request{Method: "GET", Path: "/account"}); a.Status != 200 || b.Cookie("gatehouse_rt") == refreshed {
			t.Errorf("a page of ours: %d", a.Status)
		}
		expire(before)
		works(before, 8*time.Hour)
		expire(b)
		works(b, 8*time.Hour)
	})
}

// TestCaseB6F2_WhatEndsASessionIsSeenWithinASecond: by the check, the API and each replica's memory, of a session whose
// refresh token alone is looked at: its roles, its end by its owner on another device, and the account's.
func TestCaseB6F2_WhatEndsASessionIsSeenWithinASecond(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		b, other := h.Browser(), h.Browser()
		for _, one := range []*harness.Browser{b, other} {
			one.SignIn("ada@example.org")
			expire(one)
			works(one, 0)
		}
		if a := b.Send(harness.Request{Method: "POST", Path: "/v1/logout-all", Body: `{"keep_current":true}`, Header: b.Csrf()}); a.Status != 204 {
			h.Fatalf("ending the others: %d %s", a.Status, a.Text)
		}
		if a := checked(other, "GET", nil); a.Status != 401 {
			h.Errorf("ended from another device: %d", a.Status)
		}
		if _, err := h.Operator().SetRoles(h.Context(), "ada@example.org", []string{"editor"}, harness.OriginOfTests); err != nil {
			h.Fatal(err)
		}
		soon(h, "the new roles", func() bool { return checked(b, "GET", nil).Header.Get("X-Auth-Roles") == "editor" })
		works(b, 0)
		if _, err := h.Operator().Disable(h.Context(), "ada@example.org", harness.OriginOfTests); err != nil {
			h.Fatal(err)
		}
		soon(h, "the end", func() bool { return checked(b, "GET", nil).Status == 401 })
		for _, r := range []harness.Request{{Method: "GET", Path: "/v1/me"}, {Method: "GET", Path: "/v1/sessions"}} {
			if a := b.Send(r); a.Status != 401 {
				h.Errorf("%s of a disabled account: %d", r.Path, a.Status)
			}
		}
	}, "TRUSTED_PROXIES=127.0.0.1")
}

// soon waits for what every replica learns within a second on a machine that is not busy: bench measures that.
func soon(h *harness.Server, what string, holds func() bool) {
	h.Helper()
	h.Eventually(what, func() (string, bool) { return "not seen", holds() })
}

// TestCaseB6_TheEndsOfASession: a session whose refresh token is only looked at lives as long as it is used, until
// its absolute end; it dies when it is not used; and it ends for who signs out.
func TestCaseB6_TheEndsOfASession(t *testing.T) {
	const day = 24 * time.Hour
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		c := &harness.Clock{}
		settings := []string{"TRUSTED_PROXIES=127.0.0.1"}
		h := harness.OpenAt(t, dbURL, c.Now, settings...)
		h.Register("ada@example.org")
		b, idle, out := h.Browser(), h.Browser(), h.Browser()
		for _, one := range []*harness.Browser{b, idle, out} {
			one.SignIn("ada@example.org")
			expire(one)
		}
		// What was noted of uses is written when a replica stops, at the latest.
		again := func(at time.Duration) {
			t.Helper()
			if err := h.Stop(); err != nil {
				t.Fatal(err)
			}
			c.Set(at)
			h = harness.OpenAt(t, dbURL, c.Now, settings...)
			for _, one := range []*harness.Browser{b, idle, out} {
				cookies := one.Jar.Cookies(one.Origin())
				one.Server = h
				one.Jar.SetCookies(one.Origin(), cookies)
			}
		}
		if a := checked(out, "GET", nil); a.Status != 200 {
			t.Fatalf("signed in: %d", a.Status)
		}
		if a := out.Send(harness.Request{Method: "POST", Path: "/v1/logout", Header: out.Csrf()}); a.Status != 204 {
			t.Fatalf("signing out: %d", a.Status)
		}
		for _, days := range []time.Duration{6, 12, 18, 24, 29} {
			again(days * day)
			expire(b)
			if a := checked(b, "GET", nil); a.Status != 200 {
				t.Fatalf("in use, after %d days: %d %s", days, a.Status, a.Text)
			}
			if a := checked(idle, "GET", nil); (a.Status == 401) != (days > 7) && days != 6 {
				t.Errorf("unused, after %d days: %d", days, a.Status)
			}
			if days == 6 {
				idle.Jar = h.Browser().Jar // used this once: it has till the thirteenth day
			}
			if a := checked(out, "GET", nil); a.Status != 401 {
				t.Errorf("signed out, after %d days: %d", days, a.Status)
			}
		}
		again(30*day + time.Minute)
		if a := checked(b, "GET", nil); a.Status != 401 {
			t.Errorf("beyond the absolute end: %d", a.Status)
		}
		var living int64
		if err := h.Database().Read(h.Context(), func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT COUNT(*) FROM session WHERE ended_at IS NULL AND idle_at > $1 AND max_at > $1`, db.Micros(c.Now())).Scan(&living)
		}); err != nil || living != 0 {
			t.Errorf("%d sessions live, %v", living, err)
		}
	})
}

// TestASVS_V10_1_1_ARefreshTokenOfACookieIsNoneInABody: it brings nothing, ends nothing, and says nothing to an application;
// in its cookie it goes on working.
func TestASVS_V10_1_1_ARefreshTokenOfACookieIsNoneInABody(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		shop := h.Application("shop")
		h.Register("ada@example.org")
		b := h.Browser()
		b.SignIn("ada@example.org")
		for range 3 {
			h.Expect(401, "invalid_refresh_token", harness.Refreshing(b.Cookie("gatehouse_rt")))
			if h.Active(shop, b.Cookie("gatehouse_rt")).Fields["active"] != false {
				h.Error("an application is told that it is active")
			}
			harness.RefreshWithCookies(h, b)
		}
		// The other way round it is the holder's own affair, and becomes one of a cookie.
		bearer := h.Login("ada@example.org")
		b.Jar.SetCookies(b.Origin(), []*http.Cookie{{Name: "gatehouse_rt", Value: bearer.Str("refresh_token"), Path: "/"}})
		if a := b.Send(harness.Request{Method: "GET", Path: "/account"}); a.Status != 200 {
			h.Errorf("a page: %d", a.Status)
		}
		// To end the session with it is the safe side.
		h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Body: map[string]string{"refresh_token": b.Cookie("gatehouse_rt")}})
	})
}
