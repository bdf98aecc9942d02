package incidents_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

var operator = respond.By{Origin: event.Origin{RequestID: "test", UserAgent: "test", Actor: "operator@host"}}

func TestMain(m *testing.M) { harness.Main(m) }

// opened opens an incident.
func opened(h *harness.Server, d *respond.Desk) int64 {
	h.Helper()
	i, err := d.Open(h.Context(), respond.Opening{Title: "A test"}, operator)
	if err != nil {
		h.Fatal(err)
	}
	return i.N
}

// contained does an order to its end.
func contained(h *harness.Server, d *respond.Desk, n int64, o respond.Order) respond.Done {
	h.Helper()
	o.Why = "a test"
	done, err := d.Contain(h.Context(), n, o, operator)
	if err != nil {
		h.Fatalf("%s: %v", o.Does, err)
	}
	return done
}

// atOnce runs something sixteen times at once, and returns how often it went well, and the other errors.
func atOnce(run func(i int) error) (well int, failed []error) {
	var (
		mu   sync.Mutex
		done sync.WaitGroup
	)
	for i := range 16 {
		done.Go(func() {
			err := run(i)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				well++
			} else {
				failed = append(failed, err)
			}
		})
	}
	done.Wait()
	return well, failed
}

// Sixteen incidents that are opened at once have sixteen numbers, with none between; of sixteen who close one, one does.
func TestIR1_NumbersHaveNoGaps(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		d := h.Incidents()
		if well, failed := atOnce(func(i int) error {
			_, err := d.Open(h.Context(), respond.Opening{Title: fmt.Sprint("Number ", i)}, operator)
			return err
		}); well != 16 {
			h.Fatal(failed)
		}
		list, _, err := d.List(h.Context(), 0, 50)
		if err != nil || len(list) != 16 || list[0].N != 16 || list[15].N != 1 {
			h.Fatal(len(list), err)
		}
		well, failed := atOnce(func(int) error { return d.Close(h.Context(), 7, "Look at alerts.", operator) })
		if well != 1 {
			h.Errorf("%d closed it", well)
		}
		for _, err := range failed {
			if !errors.Is(err, incident.ErrClosed) {
				h.Error(err)
			}
		}
		for _, err := range []error{
			d.Note(h.Context(), 7, "Too late", operator), d.Tick(h.Context(), 7, "scope", true, operator),
			func() error {
				_, err := d.Contain(h.Context(), 7, respond.Order{Does: respond.EndSessions, All: true, Why: "x"}, operator)
				return err
			}(),
		} {
			if !errors.Is(err, incident.ErrClosed) {
				h.Errorf("a closed incident: %v", err)
			}
		}
	})
}

// broken returns a desk that does one batch and leaves the rest, as one that is killed then.
func broken(h *harness.Server, d *respond.Desk) (*respond.Desk, context.Context) {
	was := *d
	at := time.Now()
	was.Now = func() time.Time { at = at.Add(3 * time.Second); return at }
	ctx, cancel := context.WithDeadline(h.Context(), time.Now().Add(time.Hour))
	h.Cleanup(cancel)
	return &was, ctx
}

// What takes many transactions ends the same, wherever it is broken off and whoever goes on with it: everything is done to
// everybody, and nothing twice.
func TestIR2_WhatIsKilledInTheMiddleEndsTheSame(t *testing.T) {
	local := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	const people = 60 // more than a batch
	for _, o := range []respond.Order{
		{Does: respond.EndSessions, All: true}, {Does: respond.EndSessions, Networks: local},
		{Does: respond.ResetPasswords, All: true}, {Does: respond.ResetPasswords, Networks: local},
		{Does: respond.Disable, Networks: local}, {Does: respond.VoidLinks, All: true},
	} {
		dbtest.EachURL(t, func(t *testing.T, dbURL string) {
			h := harness.Open(t, dbURL, "LISTEN_ADDR=127.0.0.1:0")
			for i := range people {
				email := fmt.Sprintf("p%d@example.org", i)
				h.Register(email)
				h.Login(email)
			}
			d := h.Incidents()
			n := opened(h, d)
			half, ctx := broken(h, d)
			o.Why = "a test"
			left, err := half.Contain(ctx, n, o, operator)
			if err != nil {
				h.Fatal(err)
			}
			if well, failed := atOnce(func(int) error { return d.Continue(h.Context()) }); well != 16 {
				h.Fatal(o.Does, failed)
			}
			s, err := d.Show(h.Context(), n)
			if err != nil {
				h.Fatal(err)
			}
			a := s.Actions[0]
			if a.ID != left.ID || a.State != incident.Finished || a.EndedAt.IsZero() {
				h.Errorf("%s: %+v", o.Does, a)
			}
			alive := h.Count(`SELECT COUNT(*) FROM session WHERE ended_at IS NULL`)
			mails := h.Count(`SELECT COUNT(*) FROM outbox WHERE kind = 'admin_reset' OR kind = 'account_disabled'`)
			ended := 0
			for _, e := range s.Timeline {
				if e.Kind == incident.Ended {
					ended++
				}
			}
			if ended != 1 {
				h.Errorf("%s: the timeline says %d times that it is done", o.Does, ended)
			}
			switch o.Does {
			case respond.EndSessions:
				if alive != 0 || a.Touched["sessions"] != people {
					h.Errorf("%s: %d sessions live; %v", o.Does, alive, a.Touched)
				}
			case respond.ResetPasswords, respond.Disable:
				if alive != 0 || a.Touched["people"] != people || mails != people {
					h.Errorf("%s: %d sessions live, %d mails; %v", o.Does, alive, mails, a.Touched)
				}
			case respond.VoidLinks:
				if links := h.Count(`SELECT COUNT(*) FROM ticket WHERE used_at IS NULL AND purpose = 'verify'`); links != 0 || a.Touched["links"] == 0 {
					h.Errorf("%d links live; %v", links, a.Touched)
				}
			}
		})
	}
}

// A preview counts what the action then touches, and touches nothing.
func TestIR2_APreviewCountsAndTouchesNothing(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		for i := range 7 {
			h.Register(fmt.Sprintf("p%d@example.org", i))
			h.Login(fmt.Sprintf("p%d@example.org", i))
		}
		d := h.Incidents()
		n := opened(h, d)
		o := respond.Order{Does: respond.EndSessions, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
		p, err := d.Preview(h.Context(), o)
		if err != nil || p.Touches["sessions"] != 7 || p.Touches["people"] != 7 || !p.Exact || len(p.Sample) != 5 {
			h.Fatal(p, err)
		}
		if alive := h.Count(`SELECT COUNT(*) FROM session WHERE ended_at IS NULL`); alive != 7 {
			h.Errorf("%d sessions live after a preview", alive)
		}
		if done := contained(h, d, n, o); done.Touched["sessions"] != 7 {
			h.Error(done.Touched)
		}
	})
}

// What is closed is closed on every replica within a second, for all but administrators, and opens by itself.
func TestIR2_LockdownIsObeyedByAllReplicas(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		clock := &harness.Clock{}
		h := harness.OpenAt(t, dbURL, clock.Now, harness.SharedURL, "PASSWORDLESS=on")
		other := harness.OpenAt(t, dbURL, clock.Now, harness.SharedURL, "PASSWORDLESS=on")
		h.Register("ada@example.org")
		h.Administrator("root@example.org")
		ada := h.Login("ada@example.org")
		_, invitation, err := h.Operator().Invite(h.Context(), operate.Invitation{Email: "joe@example.org"}, harness.OriginOfTests)
		if err != nil {
			h.Fatal(err)
		}
		accept := harness.Post("/v1/email/verify", map[string]string{"token": harness.TokenOf(h, invitation)})
		d := h.Incidents()
		n := opened(h, d)
		done := contained(h, d, n, respond.Order{Does: respond.Lockdown, Doors: lockdown.Doors, For: time.Hour})
		register := harness.Post("/v1/register", harness.Credentials{Email: "eve@example.org", Password: harness.Passphrase})
		change := harness.Post("/v1/email/change", map[string]string{"email": "new@example.org", "current_password": harness.Passphrase},
			ada.Str("access_token"))
		for _, r := range []*harness.Server{h, other} {
			r.Eventually("the doors are closed", func() (string, bool) {
				a := r.Do(register)
				return a.Text, a.Status == 403
			})
			r.Expect(403, "closed_for_now", register)
			r.Expect(403, "closed_for_now", harness.SignInAs("ada@example.org", harness.Passphrase))
			r.Expect(401, "invalid_credentials", harness.SignInAs("ada@example.org", "wrong passphrase of ada"))
			r.Expect(403, "closed_for_now", change)
			r.Expect(403, "closed_for_now", accept)                           // and the link is not spent
			r.Expect(200, "", harness.Get("/v1/me", ada.Str("access_token"))) // sessions go on
			r.Login("root@example.org")
		}
		clock.Shift(61 * time.Minute)
		h.Login("ada@example.org")
		clock.Shift(-61 * time.Minute)
		if _, err := d.Undo(h.Context(), n, done.ID, "it is over", operator); err != nil {
			h.Fatal(err)
		}
		other.Eventually("the doors are open", func() (string, bool) { a := other.Do(register); return a.Text, a.Status == 202 })
		if other.Expect(200, "", accept).Str("pending_token") == "" {
			h.Error("the invitation was spent")
		}
	})
}

// Of sixteen who take an action back one does; what was done since stays as it is.
func TestIR2_TakingBackHappensOnce(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		h.Register("bob@example.org")
		d := h.Incidents()
		n := opened(h, d)
		networks := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("198.51.100.0/24")}
		for _, o := range []respond.Order{
			{Does: respond.BlockNetworks, Networks: networks}, {Does: respond.Disable, Users: []string{"ada@example.org", "bob@example.org"}},
			{Does: respond.Lockdown, Doors: []lockdown.Door{lockdown.Registration}, For: time.Hour},
		} {
			done := contained(h, d, n, o)
			well, failed := atOnce(func(int) error { _, err := d.Undo(h.Context(), n, done.ID, "a mistake", operator); return err })
			if well != 1 {
				h.Errorf("%s: %d took it back: %v", o.Does, well, failed)
			}
		}
		if blocked := h.Count(`SELECT COUNT(*) FROM block WHERE removed_at IS NULL`); blocked != 0 {
			h.Errorf("%d networks are blocked", blocked)
		}
		h.Login("ada@example.org")
		h.Login("bob@example.org")
		done := contained(h, d, n, respond.Order{Does: respond.EndSessions, All: true})
		if _, err := d.Undo(h.Context(), n, done.ID, "a mistake", operator); fault.As(err) == nil || fault.As(err).Code != "no_way_back" {
			h.Error(err)
		}
		first := contained(h, d, n, respond.Order{Does: respond.Lockdown, Doors: []lockdown.Door{lockdown.Registration}, For: time.Hour})
		contained(h, d, n, respond.Order{Does: respond.Lockdown, Doors: []lockdown.Door{lockdown.Registration}, For: 2 * time.Hour})
		if _, err := d.Undo(h.Context(), n, first.ID, "a mistake", operator); err != nil {
			h.Error(err)
		}
		if shut := h.Count(`SELECT COUNT(*) FROM install WHERE shut_registration > 0`); shut != 1 {
			h.Error("a door that was closed anew was opened by the way back of the first time")
		}
	})
}

// A factor that was added since a time counts and opens nothing; taken back, it opens again.
func TestIR2_SuspendedFactorsOpenNothing(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		clock := &harness.Clock{}
		h := harness.OpenAt(t, dbURL, clock.Now)
		app := h.AddApp(clock, "ada@example.org")
		d := h.Incidents()
		n := opened(h, d)
		o := respond.Order{Does: respond.SuspendFactors, Since: clock.Now().Add(-time.Hour), All: true}
		p, err := d.Preview(h.Context(), o)
		if err != nil || p.Touches["factors"] != 1 || p.Touches["codes"] != 10 {
			h.Fatal(p, err)
		}
		done := contained(h, d, n, o)
		if done.Touched["factors"] != 1 || done.Touched["codes"] != 10 || done.Touched["sessions"] == 0 {
			h.Error(done.Touched)
		}
		app.Next()
		app.SignsNobodyIn(app.Code(0))
		if n := h.Count(`SELECT factors FROM account WHERE email_key = 'ada@example.org'`); n != 1 {
			h.Errorf("the account has %d factors", n)
		}
		if _, err := d.Undo(h.Context(), n, done.ID, "they were hers", operator); err != nil {
			h.Fatal(err)
		}
		app.Next()
		app.SignIn()
	})
}

// Keys are revoked in one transaction with the word of it.
func TestIR2_KeysAreRevokedAtOnce(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		ada := h.Login("ada@example.org")
		d := h.Incidents()
		contained(h, d, opened(h, d), respond.Order{Does: respond.RotateKeys, Purposes: []keyring.Purpose{keyring.AccessSign}})
		h.Eventually("the token is refused", func() (string, bool) {
			a := h.Do(harness.Get("/v1/me", ada.Str("access_token")))
			return a.Text, a.Status == 401
		})
		h.Eventually("a refresh gives a good token", func() (string, bool) {
			ada = h.Refresh(ada.Str("refresh_token"))
			a := h.Do(harness.Get("/v1/me", ada.Str("access_token")))
			return a.Text, a.Status == 200
		})
	})
}

// An administrator does not disable themselves, or the last administrator, by an incident.
func TestIR2_NobodyShutsOutTheLastAdministrator(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Administrator("root@example.org")
		d := h.Incidents()
		n := opened(h, d)
		root, err := d.Operator.User(h.Context(), "root@example.org")
		if err != nil {
			h.Fatal(err)
		}
		by := respond.By{Who: flow.Identity{Account: root.ID, Roles: []string{account.Admin}}, Origin: harness.OriginOfTests}
		done, err := d.Contain(h.Context(), n, respond.Order{Does: respond.Disable, Users: []string{root.ID}, Why: "a test"}, by)
		if err != nil || done.Touched["skipped"] != 1 || done.Touched["people"] != 0 {
			h.Error(done.Touched, err)
		}
		h.Login("root@example.org")
		for action, events := range map[string]int{"open_incident": 0, "contain_incident": 1} {
			if n := h.Count(fmt.Sprintf(`SELECT COUNT(*) FROM event_personal WHERE data LIKE '%%"action":"%s"%%'`, action)); n != events {
				h.Errorf("%d admin_actions %s", n, action)
			}
		}
	})
}
