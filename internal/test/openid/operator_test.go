package openid

import (
	"context"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// What an operator ends is ended: what an application was granted to go on without the session too, and also if the session itself
// has ended before, since a thief may have signed out of it.
func TestASVS_V10_4_9_WhatAnOperatorEnds(t *testing.T) {
	end := func(w operate.Which) func(h *harness.Server, _ string) error {
		return func(h *harness.Server, _ string) error {
			_, err := h.Operator().RevokeSessions(h.Context(), w, harness.OriginOfTests)
			return err
		}
	}
	ways := map[string]func(h *harness.Server, session string) error{
		"one session": func(h *harness.Server, session string) error {
			return h.Operator().EndSession(h.Context(), session, harness.OriginOfTests)
		},
		"a person's":  end(operate.Which{Account: ada}),
		"a network's": end(operate.Which{Network: netip.MustParsePrefix("127.0.0.0/8")}),
		"those of old": func(h *harness.Server, session string) error {
			return end(operate.Which{Before: time.Now().Add(time.Minute)})(h, session)
		},
		"everybody's": end(operate.Which{}),
	}
	for name, way := range ways {
		for _, signedOut := range []bool{false, true} {
			if signedOut && name == "one session" {
				continue // there is none to name
			}
			each(t, func(h *harness.Server, _ *harness.Clock) {
				h.Register(ada)
				a, b := register(h, "app", client.Web, firstParty), h.Browser()
				offline := a.grant(b, "scope", "openid offline_access")
				list, err := h.Operator().Sessions(h.Context(), ada)
				if err != nil || len(list) != 1 {
					h.Fatalf("%d sessions, %v", len(list), err)
				}
				if signedOut {
					out, _ := walk(b, "/logout")
					press(b, "/logout", fields(out.Text))
				}
				a.alive(t, true, offline)
				if err := way(h, list[0].ID); err != nil {
					h.Fatalf("%s, signed out %v: %v", name, signedOut, err)
				}
				a.alive(t, false, offline)
				a.invalid(400, "invalid_grant", a.refreshing(offline.Str("refresh_token")))
			})
		}
	}
}

// What a sign-in gave ends, though its session has ended: not what the session in its place, which applications know by the same name,
// gave after it.
func TestASVS_V10_4_9_WhatOneSignInGave(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		a, b := register(h, "app", client.Web, firstParty), h.Browser()
		before := a.grant(b, "scope", "openid offline_access")
		clock.Shift(time.Hour)
		between := clock.Now()
		clock.Shift(time.Hour)
		after := a.grant(b, "scope", "openid offline_access", "prompt", "login")
		if a.claims(before.Str("id_token"))["sid"] != a.claims(after.Str("id_token"))["sid"] {
			t.Fatal("another session")
		}
		o := h.Operator()
		o.Now = clock.Now
		if _, err := o.RevokeSessions(t.Context(), operate.Which{Account: ada, Before: between}, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		a.invalid(400, "invalid_grant", a.refreshing(before.Str("refresh_token")))
		a.alive(t, true, after)
		h.Expect(200, "", a.refreshing(after.Str("refresh_token")))
	})
}

// An operator changes roles while a code is being given: the application is told the new ones. Both wait here for the session, which
// somebody else holds, so that the code is given first.
func TestASVS_V10_4_7_RolesChangeWhileACodeIsGiven(t *testing.T) {
	h := harness.Open(t, dbtest.Postgres(t))
	h.Register(ada)
	a, b := register(h, "app", client.Web, firstParty), h.Browser()
	a.grant(b)
	holder, err := pgx.Connect(t.Context(), h.DBURL)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(context.Background())
	held, err := holder.Begin(t.Context())
	if err == nil {
		_, err = held.Exec(t.Context(), `SELECT id FROM session FOR UPDATE`)
	}
	if err != nil {
		t.Fatal(err)
	}
	waiting := func(n int) {
		h.Eventually("those who wait for the session", func() (string, bool) {
			got := h.Count(`SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
			return strconv.Itoa(got), got == n
		})
	}
	var (
		both sync.WaitGroup
		code string
	)
	both.Go(func() {
		_, to := a.ask(b, "scope", "openid roles")
		code = to.Query().Get("code")
	})
	waiting(1)
	both.Go(func() {
		if _, err := h.Operator().SetRoles(h.Context(), ada, []string{"staff"}, harness.OriginOfTests); err != nil {
			t.Error(err)
		}
	})
	waiting(2)
	if err := held.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	both.Wait()
	if code == "" {
		t.Fatal("no code was given: it took longer than a request lives")
	}
	if id := a.claims(h.Expect(200, "", a.exchanging(code)).Str("id_token")); !reflect.DeepEqual(id["roles"], []any{"staff"}) {
		t.Errorf("the application is told of %v", id["roles"])
	}
}

// An application that is deleted takes what it was granted, and what people consented to, with it.
func TestADeletedApplicationIsForgotten(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		a, b := register(h, "app", client.Web), h.Browser()
		got := a.grant(b, "scope", "openid offline_access")
		if _, err := h.Operator().DeleteClient(t.Context(), "app", harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		a.alive(t, false, got)
		for table, where := range map[string]string{"client_grant": "ended_at IS NULL", "client_consent": "1 = 1"} {
			if n := h.Count(`SELECT COUNT(*) FROM ` + table + ` WHERE ` + where); n != 0 {
				t.Errorf("%d rows of %s are left", n, table)
			}
		}
		me := h.Login(ada).Str("access_token")
		if list := h.Expect(200, "", harness.Get("/v1/me/applications", me)); strings.Contains(list.Text, a.ID) {
			t.Errorf("it is still listed: %s", list.Text)
		}
	})
}

// Whoever puts a second factor off on the way to an application arrives there, by a new sign-in if it asked for one.
func TestASecondFactorPutOffOnTheWay(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		a, b := register(h, "app", client.Web, firstParty), h.Browser()
		for _, more := range [][]string{nil, {"prompt", "login"}} {
			page, _ := a.ask(b, more...)
			page, to := signIn(b, page, ada)
			if to.Host != "" || !strings.Contains(page.Text, "/login/enrol") {
				t.Fatalf("nobody asks for a second factor: %s\n%s", to, page.Text)
			}
			if policy := page.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' https://app.example.org;") {
				t.Errorf("the browser may not go on to the application: %s", policy)
			}
			_, to = press(b, "/login/enrol", fields(page.Text).With("later", "1"))
			h.Expect(200, "", a.exchanging(a.code(to)))
		}
	}, "SECOND_FACTOR=*", "SECOND_FACTOR_GRACE_DAYS=3")
}

// Settings that a newer version has written, which this one could not keep to, stop the one application that they are of.
func TestSettingsOfANewerVersion(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		a, newer, b := register(h, "app", client.Web, firstParty), register(h, "newer", client.Web, firstParty), h.Browser()
		if err := h.Mailbox().DB.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE client SET settings = '{"unknown":1}' WHERE id = $1`, newer.ID)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Operator().SetClient(t.Context(), "app", func(s client.Settings) client.Settings { return s }, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		h.Eventually("the newer settings", func() (string, bool) {
			page, to := newer.ask(b)
			return page.Text, to.Host == "" && page.Status == 400
		})
		a.grant(b)
		list, err := h.Operator().Clients(t.Context())
		if err != nil || len(list) != 2 || list[0].Newer || !list[1].Newer {
			t.Errorf("the list: %+v, %v", list, err)
		}
		_, err = h.Operator().SetClient(t.Context(), "newer", func(s client.Settings) client.Settings { return s }, harness.OriginOfTests)
		if f := fault.As(err); f == nil || f.Code != "newer_settings" {
			t.Errorf("its settings are changed: %v", err)
		}
		if _, err := h.Operator().DisableClient(t.Context(), "newer", true, harness.OriginOfTests); err != nil {
			t.Error(err)
		}
	})
}
