package openid

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/openid"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// signedOut signs ada in to applications in a browser of her own, and out of all.
func signedOut(h *harness.Server, list ...app) {
	h.Helper()
	b := h.Browser()
	for _, a := range list {
		a.grant(b)
	}
	page, _ := walk(b, "/logout")
	press(b, "/logout", fields(page.Text))
}

// happened counts the events about notices.
func happened(h *harness.Server, outcome string) int {
	return h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'logout_notified' AND outcome = '` + outcome + `'`)
}

// counted waits until a flow has come to an outcome n times.
func counted(h *harness.Server, outcome string, n float64) {
	h.Helper()
	h.Eventually(outcome, func() (string, bool) {
		got := h.Metric(`gatehouse_flows_total{flow="notify_logout",outcome="` + outcome + `"}`)
		return fmt.Sprint(got), got >= n
	})
}

// A server that does not answer, one that fails, and one that leads elsewhere are tried again; none of them holds up another.
func TestOIDC_BackChannel_TriedAgain(t *testing.T) {
	for name, answer := range map[string]func(w http.ResponseWriter, n int, gone chan struct{}){
		"slow": func(_ http.ResponseWriter, n int, over chan struct{}) {
			if n < 2 {
				<-over
			}
		},
		"failing": func(w http.ResponseWriter, n int, _ chan struct{}) {
			if n < 2 {
				w.WriteHeader(503)
			}
		},
		"leading elsewhere": func(w http.ResponseWriter, n int, _ chan struct{}) {
			if n < 2 {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(307)
			}
		},
		"breaking off": func(_ http.ResponseWriter, n int, _ chan struct{}) {
			if n < 2 {
				panic(http.ErrAbortHandler)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(h *harness.Server, clock *harness.Clock) {
				h.Register(ada)
				over := make(chan struct{})
				bad, good := listen(t, func(w http.ResponseWriter, n int) { answer(w, n, over) }), listen(t, nil)
				defer close(over)
				a, other := register(h, "app", client.Web, bad.told), register(h, "other", client.Web, good.told)
				signedOut(h, a, other)
				first := a.logout(bad.await(h, 1))
				other.logout(good.await(h, 1))
				signedOut(h, other) // while the first one still waits
				good.await(h, 2)
				counted(h, "no_answer", 1)
				clock.Shift(6 * time.Second)
				bad.await(h, 2)
				counted(h, "no_answer", 2)
				clock.Shift(31 * time.Second)
				last := a.logout(bad.await(h, 3))
				untold(h)
				if last["sid"] != first["sid"] || last["jti"] == first["jti"] {
					t.Errorf("%v, at first %v", last, first)
				}
				if n, m := len(bad.heard()), len(good.heard()); n != 3 || m != 2 || happened(h, "success") != 3 || happened(h, "failure") != 0 {
					t.Errorf("told %d and %d times; %d and %d events", n, m, happened(h, "success"), happened(h, "failure"))
				}
			})
		})
	}
}

// What an application refuses is final: it may have ended its session itself. One that does not listen for a day is given up, which is an alert;
// one that is disabled or deleted, or has no address any more, is left alone.
func TestOIDC_BackChannel_WhatIsFinal(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		refuses, dead := listen(t, func(w http.ResponseWriter, _ int) { w.WriteHeader(400) }), listen(t, nil)
		dead.Close()
		a, gone := register(h, "app", client.Web, refuses.told), register(h, "gone", client.Web, dead.told)
		disabled, silent := listen(t, nil), listen(t, nil)
		off, mute := register(h, "off", client.Web, disabled.told), register(h, "mute", client.Web, silent.told)
		b := h.Browser()
		for _, one := range []app{a, gone, off, mute} {
			one.grant(b)
		}
		o := h.Operator()
		if _, err := o.DisableClient(t.Context(), "off", true, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		if _, err := o.SetClient(t.Context(), "mute", func(s client.Settings) client.Settings {
			s.BackchannelLogoutURI, s.BackchannelLogoutSessionRequired = "", false
			return s
		}, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		h.Eventually("the disabling", func() (string, bool) {
			page, to := off.ask(b)
			return page.Text, to.Host == "" && page.Status == 400
		})
		page, _ := walk(b, "/logout")
		press(b, "/logout", fields(page.Text))
		a.logout(refuses.await(h, 1))
		counted(h, "refused", 1)
		counted(h, "no_answer", 1)
		counted(h, "client_disabled", 1)
		h.Eventually("what is final", func() (string, bool) {
			n := h.Count(`SELECT COUNT(*) FROM logout_notice`)
			return fmt.Sprint(n), n == 2 // gone, off
		})
		if happened(h, "failure") != 1 {
			t.Errorf("%d failures", happened(h, "failure"))
		}
		if n := h.Metric("gatehouse_logout_notices_waiting"); n != 2 {
			t.Errorf("%v wait", n)
		}
		// It is told what it missed once it is enabled.
		if _, err := o.DisableClient(t.Context(), "off", false, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		off.logout(disabled.later(h, clock, 1))
		clock.Shift(25 * time.Hour)
		untold(h)
		counted(h, "gave_up", 1)
		if n, m := len(refuses.heard()), len(silent.heard()); n != 1 || m != 0 || happened(h, "failure") != 2 || happened(h, "success") != 1 {
			t.Errorf("told %d and %d times; %d failures, %d went well", n, m, happened(h, "failure"), happened(h, "success"))
		}
		h.Eventually("the alert", func() (string, bool) {
			n := h.Count(`SELECT COUNT(*) FROM alert WHERE rule = 'logouts_untold'`)
			return fmt.Sprint(n), n == 1
		})
		// Deleting an application takes what it has yet to be told with it.
		signedOut(h, gone)
		if _, err := o.DeleteClient(t.Context(), "gone", harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		if n := h.Count(`SELECT COUNT(*) FROM logout_notice`) + h.Count(`SELECT COUNT(*) FROM session_client WHERE client_id = '`+gone.ID+`'`); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

// A server that was killed with a notice in hand has another one deliver it once the lease is over; one that stops sees through what it has begun.
func TestOIDC_BackChannel_AServerGoesInBetween(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		arrived, answer := make(chan bool, 1), make(chan bool)
		l := listen(t, func(_ http.ResponseWriter, n int) {
			if n == 0 {
				arrived <- true
				<-answer
			}
		})
		a := register(h, "app", client.Web, l.told)
		signedOut(h, a)
		<-arrived
		stopped := make(chan error)
		go func() { stopped <- h.Stop() }()
		time.Sleep(50 * time.Millisecond) // it may stop before or after the answer: either is fine
		close(answer)
		if err := <-stopped; err != nil {
			t.Fatal(err)
		}
		// Killed: it has taken the notice, and that is all.
		d := h.Database()
		if n := h.Count(`SELECT COUNT(*) FROM logout_notice`); n != 0 || len(l.heard()) != 1 {
			t.Fatalf("%d wait, told %d times", n, len(l.heard()))
		}
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			if _, err := tx.Exec(`INSERT INTO logout_notice (sid, client_id, account_id, created_at, due_at, until_at, tries, error)
				VALUES ('s', $1, 'a', $2, $2, $3, 0, '')`, a.ID, db.Micros(clock.Now()), db.Micros(clock.Now().Add(24*time.Hour))); err != nil {
				return err
			}
			taken, err := grant.TakeNotices(tx, a.ID, clock.Now().Add(time.Hour), 10)
			if len(taken) != 1 {
				t.Errorf("%d are taken", len(taken))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		next := harness.OpenAt(t, h.DBURL, clock.Now)
		time.Sleep(1500 * time.Millisecond)
		if n := len(l.heard()); n != 1 {
			t.Errorf("within the lease it is told %d times", n)
		}
		clock.Shift(time.Hour + grant.NoticeLease)
		l.await(next, 2)
		untold(next)
	})
}

// Applications are told of the end of somebody's sessions who is erased, though the account is gone by then; the log names nobody for it, and no row
// is left after a day.
func TestOIDC_BackChannel_SomebodyWhoIsErased(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		up := false
		var mu sync.Mutex
		l, dead := listen(t, func(w http.ResponseWriter, _ int) {
			mu.Lock()
			defer mu.Unlock()
			if !up {
				w.WriteHeader(503)
			}
		}), listen(t, nil)
		dead.Close()
		a, gone, b := register(h, "app", client.Web, l.told), register(h, "gone", client.Web, dead.told), h.Browser()
		id := a.claims(a.grant(b).Str("id_token"))
		gone.grant(b)
		if _, _, err := h.Operator().EraseUser(t.Context(), ada, 0, harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		h.Eventually("the erasure", func() (string, bool) {
			n := h.Count(`SELECT COUNT(*) FROM account`) + h.Count(`SELECT COUNT(*) FROM erasure`)
			if n > 0 {
				clock.Shift(time.Second)
			}
			return fmt.Sprint(n, " rows"), n == 0
		})
		mu.Lock()
		up = true
		mu.Unlock()
		told := a.logout(l.later(h, clock, len(l.heard())+1))
		h.Eventually("the notice", func() (string, bool) {
			n := happened(h, "success")
			return fmt.Sprint(n), n == 1
		})
		if told["sub"] != id["sub"] || told["sid"] != id["sid"] {
			t.Errorf("%v", told)
		}
		clock.Shift(25 * time.Hour)
		untold(h)
		named := h.Count(`SELECT COUNT(*) FROM event_personal AS p JOIN event AS e ON e.id = p.event_id WHERE e.kind = 'logout_notified'
			AND (p.person <> '' OR p.data LIKE '%' || '` + id["sub"].(string) + `' || '%' OR p.data LIKE '%' || '` + id["sid"].(string) + `' || '%')`)
		if n := happened(h, "failure"); n != 1 || named != 0 {
			t.Errorf("%d given up; %d events name somebody who is erased", n, named)
		}
	})
}

// Sixteen who deliver at once, and the server beside them, tell each application of each session once.
func TestOIDC_BackChannel_SixteenDeliver(t *testing.T) {
	issuer := newIssuer(t)
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		l := listen(t, nil)
		a := register(h, "app", client.Web, l.told)
		poster := outbound.NewPoster(true)
		t.Cleanup(poster.Close)
		var sent atomic.Int64
		for range 16 {
			o := h.Operator()
			f := &openid.BackChannel{
				Core: o.Core, Tokens: issuer, Random: secret.Random{}, Log: slog.New(slog.DiscardHandler), Look: 10 * time.Millisecond,
				Clients: &flow.AuthenticateClient{Core: o.Core, Clients: client.NewRegistry(o.DB, time.Minute, time.Now), Revocations: o.Revoked},
				Post: func(ctx context.Context, uri string, form url.Values) (int, error) {
					sent.Add(1)
					return poster.Post(ctx, uri, form)
				},
			}
			running, stop := context.WithCancel(t.Context())
			over := make(chan bool)
			go func() { f.Run(running); close(over) }()
			t.Cleanup(func() { stop(); <-over })
		}
		const sessions = 40
		now := time.Now()
		for n := range sessions {
			if err := h.Database().Write(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec(`INSERT INTO logout_notice (sid, client_id, account_id, created_at, due_at, until_at, tries, error)
					VALUES ($1, $2, 'a', $3, $3, $4, 0, '')`, fmt.Sprintf("session %d", n), a.ID, db.Micros(now), db.Micros(now.Add(time.Hour)))
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		untold(h)
		if n := len(l.heard()); n != sessions || happened(h, "success") != sessions {
			t.Errorf("told %d times of %d sessions; %d events", n, sessions, happened(h, "success"))
		}
		if sent.Load() == 0 {
			t.Error("the server alone has told all")
		}
	})
}

// newIssuer is one with keys of its own: who delivers beside a server has none of its.
func newIssuer(t *testing.T) *token.Issuer {
	t.Helper()
	access, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	keyOf := func(alg string, private, public any) token.Key {
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(5)
		if err != nil {
			t.Fatal(err)
		}
		return token.Key{ID: base64.RawURLEncoding.EncodeToString(sum), Algorithm: alg, Material: der, From: time.Unix(1, 0)}
	}
	issuer, err := token.NewIssuer(token.Config{Issuer: "https://x.example.org", Audience: "x", Life: time.Minute},
		[]token.Key{keyOf("ES256", access, access.Public())}, secret.Random{}, keyOf("RS256", id, id.Public()))
	if err != nil {
		t.Fatal(err)
	}
	return issuer
}
