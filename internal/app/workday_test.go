package app_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// checked is a request that a proxy asks about, with the browser's cookies, and hands no cookie back of.
func (b *browser) checked(method string, header http.Header) answer {
	b.Helper()
	h := asksFor(method, "http", "127.0.0.1", "/app")
	h.Del("Accept")
	for name, values := range header {
		h[name] = values
	}
	for _, c := range b.jar.Cookies(b.origin()) {
		h.Add("Cookie", c.Name+"="+c.Value)
	}
	return b.do(request{method: "GET", path: "/v1/forward-auth", header: h})
}

// expire takes the access cookie away, as a browser does whose time is over.
func (b *browser) expire() {
	b.jar.SetCookies(b.origin(), []*http.Cookie{{Name: "gatehouse_at", Value: "", MaxAge: -1, Path: "/"}})
}

// works makes all kinds of requests that a person's browser makes during work, with an hour of the day for the report.
func (b *browser) works(at time.Duration) {
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
		if a := b.checked(c.method, c.header); a.status != 200 || a.header.Get("X-Auth-User") == "" {
			b.Fatalf("after %v, %s: %d %s", at, what, a.status, a.text)
		}
	}
	if a := b.send(request{method: "GET", path: "/v1/me"}); a.status != 200 || a.str("csrf_token") != b.cookie("gatehouse_csrf") {
		b.Fatalf("after %v, /v1/me: %d %s", at, a.status, a.text)
	}
	if a := b.send(request{method: "PATCH", path: "/v1/me", body: fmt.Sprintf(`{"name":"Ada %d"}`, int(at.Minutes())), header: b.csrf()}); a.status != 200 {
		b.Fatalf("after %v, a change: %d %s", at, a.status, a.text)
	}
}

// TestCaseB6F2_AWorkingDay: eight hours behind forward-auth and in cookie mode, through a proxy that hands no cookie on:
// nobody is signed out or refused.
func TestCaseB6F2_AWorkingDay(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		c := &clock{}
		h := openAt(t, dbURL, c.now, "TRUSTED_PROXIES=127.0.0.1")
		h.register("ada@example.org")
		b := h.browser()
		b.signIn("ada@example.org")
		second := &browser{h, b.jar} // a tab: the same cookies
		refreshed := b.cookie("gatehouse_rt")
		for at := time.Duration(0); at <= 8*time.Hour; at += 7 * time.Minute {
			c.set(at)
			if at > 15*time.Minute {
				b.expire()
			}
			b.works(at)
			second.works(at)
		}
		if b.cookie("gatehouse_rt") != refreshed {
			t.Error("the check replaced the refresh token")
		}
		// A page of ours in the second tab replaces the tokens; the first one's request is still on its way with the old ones.
		before := &browser{h, h.browser().jar}
		before.jar.SetCookies(before.origin(), b.jar.Cookies(b.origin()))
		if a := second.send(request{method: "GET", path: "/account"}); a.status != 200 || b.cookie("gatehouse_rt") == refreshed {
			t.Errorf("a page of ours: %d", a.status)
		}
		before.expire()
		before.works(8 * time.Hour)
		b.expire()
		b.works(8 * time.Hour)
	})
}

// TestCaseB6F2_WhatEndsASessionIsSeenWithinASecond: by the check, the API and each replica's memory, of a session whose
// refresh token alone is looked at: its roles, its end by its owner on another device, and the account's.
func TestCaseB6F2_WhatEndsASessionIsSeenWithinASecond(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		b, other := h.browser(), h.browser()
		for _, one := range []*browser{b, other} {
			one.signIn("ada@example.org")
			one.expire()
			one.works(0)
		}
		if a := b.send(request{method: "POST", path: "/v1/logout-all", body: `{"keep_current":true}`, header: b.csrf()}); a.status != 204 {
			h.Fatalf("ending the others: %d %s", a.status, a.text)
		}
		if a := other.checked("GET", nil); a.status != 401 {
			h.Errorf("ended from another device: %d", a.status)
		}
		if _, err := h.operator().SetRoles(h.Context(), "ada@example.org", []string{"editor"}, originOfTests); err != nil {
			h.Fatal(err)
		}
		h.withinASecond("the new roles", func() bool { return b.checked("GET", nil).header.Get("X-Auth-Roles") == "editor" })
		b.works(0)
		if _, err := h.operator().Disable(h.Context(), "ada@example.org", originOfTests); err != nil {
			h.Fatal(err)
		}
		h.withinASecond("the end", func() bool { return b.checked("GET", nil).status == 401 })
		for _, r := range []request{{method: "GET", path: "/v1/me"}, {method: "GET", path: "/v1/sessions"}} {
			if a := b.send(r); a.status != 401 {
				h.Errorf("%s of a disabled account: %d", r.path, a.status)
			}
		}
	}, "TRUSTED_PROXIES=127.0.0.1")
}

func (h *house) withinASecond(what string, holds func() bool) {
	h.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > 3*time.Second {
			h.Fatalf("%s is not seen", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if took := time.Since(began); took > time.Second {
		h.Errorf("%s is seen after %v", what, took)
	}
}

// TestCaseB6_TheEndsOfASession: a session whose refresh token is only looked at lives as long as it is used, until
// its absolute end; it dies when it is not used; and it ends for who signs out.
func TestCaseB6_TheEndsOfASession(t *testing.T) {
	const day = 24 * time.Hour
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		c := &clock{}
		settings := []string{"TRUSTED_PROXIES=127.0.0.1"}
		h := openAt(t, dbURL, c.now, settings...)
		h.register("ada@example.org")
		b, idle, out := h.browser(), h.browser(), h.browser()
		for _, one := range []*browser{b, idle, out} {
			one.signIn("ada@example.org")
			one.expire()
		}
		// What was noted of uses is written when a replica stops, at the latest.
		again := func(at time.Duration) {
			t.Helper()
			if err := h.stop(); err != nil {
				t.Fatal(err)
			}
			c.set(at)
			h = openAt(t, dbURL, c.now, settings...)
			for _, one := range []*browser{b, idle, out} {
				cookies := one.jar.Cookies(one.origin())
				one.house = h
				one.jar.SetCookies(one.origin(), cookies)
			}
		}
		if a := out.checked("GET", nil); a.status != 200 {
			t.Fatalf("signed in: %d", a.status)
		}
		if a := out.send(request{method: "POST", path: "/v1/logout", header: out.csrf()}); a.status != 204 {
			t.Fatalf("signing out: %d", a.status)
		}
		for _, days := range []time.Duration{6, 12, 18, 24, 29} {
			again(days * day)
			b.expire()
			if a := b.checked("GET", nil); a.status != 200 {
				t.Fatalf("in use, after %d days: %d %s", days, a.status, a.text)
			}
			if a := idle.checked("GET", nil); (a.status == 401) != (days > 7) && days != 6 {
				t.Errorf("unused, after %d days: %d", days, a.status)
			}
			if days == 6 {
				idle.jar = h.browser().jar // used this once: it has till the thirteenth day
			}
			if a := out.checked("GET", nil); a.status != 401 {
				t.Errorf("signed out, after %d days: %d", days, a.status)
			}
		}
		again(30*day + time.Minute)
		if a := b.checked("GET", nil); a.status != 401 {
			t.Errorf("beyond the absolute end: %d", a.status)
		}
		var living int64
		if err := h.database().Read(h.Context(), func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT COUNT(*) FROM session WHERE ended_at IS NULL AND idle_at > $1 AND max_at > $1`, db.Micros(c.now())).Scan(&living)
		}); err != nil || living != 0 {
			t.Errorf("%d sessions live, %v", living, err)
		}
	})
}

// TestASVS_V10_1_1_ARefreshTokenOfACookieIsNoneInABody: it brings nothing, ends nothing, and says nothing to an application;
// in its cookie it goes on working.
func TestASVS_V10_1_1_ARefreshTokenOfACookieIsNoneInABody(t *testing.T) {
	each(t, func(h *house) {
		shop := h.application("shop")
		h.register("ada@example.org")
		b := h.browser()
		b.signIn("ada@example.org")
		for range 3 {
			h.expect(401, "invalid_refresh_token", refreshing(b.cookie("gatehouse_rt")))
			if h.active(shop, b.cookie("gatehouse_rt")).fields["active"] != false {
				h.Error("an application is told that it is active")
			}
			h.refreshWithCookies(b)
		}
		// The other way round it is the holder's own affair, and becomes one of a cookie.
		bearer := h.login("ada@example.org")
		b.jar.SetCookies(b.origin(), []*http.Cookie{{Name: "gatehouse_rt", Value: bearer.str("refresh_token"), Path: "/"}})
		if a := b.send(request{method: "GET", path: "/account"}); a.status != 200 {
			h.Errorf("a page: %d", a.status)
		}
		// To end the session with it is the safe side.
		h.expect(204, "", request{method: "POST", path: "/v1/logout", body: map[string]string{"refresh_token": b.cookie("gatehouse_rt")}})
	})
}
