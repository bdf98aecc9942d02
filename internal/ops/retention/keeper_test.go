package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
)

var quiet = slog.New(slog.DiscardHandler)

// house is an installation whose retention is tried.
type house struct {
	*Keeper
	t     *testing.T
	ahead atomic.Int64 // of this machine's clock against the right one
}

const eventKey = "the key of the event log in tests, 32 or more"

func open(t *testing.T, d *db.DB) *house {
	t.Helper()
	h := &house{t: t}
	now := func() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }
	random := secret.Random{}
	sealer := event.NewSealer(d, eventKey, time.Now)
	h.Keeper = &Keeper{
		DB: d, Events: event.NewLog(quiet, random, now, nil), Jobs: job.NewRunner(d, random.ID(time.Now()), time.Now, quiet), Pacer: NewPacer(d), Now: now,
		Kinds: Kinds(Lengths{Tokens: 7 * day, Logs: 90 * day, Sessions: 30 * day}),
		Seal:  func(ctx context.Context) error { _, err := sealer.Seal(ctx); return err },
		Clock: func(context.Context) (time.Time, error) { return time.Time{}, nil },
	}
	h.Pacer.Rest = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	h.write(func(tx *db.Tx) error {
		if _, err := tx.Exec(`INSERT INTO install (one, id, epoch, created_at) VALUES (1, 'x', 1, 0) ON CONFLICT DO NOTHING`); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO account (id, email, email_key, name, locale, roles, hash, created_at) VALUES ('a', 'a@b.org', 'a@b.org', '', '', '[]', '', 0)`)
		return err
	})
	return h
}

func (h *house) write(fn func(tx *db.Tx) error) {
	h.t.Helper()
	if err := h.DB.Write(context.Background(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// sessions makes n sessions that ended so long ago, of which every other is one that idled.
func (h *house) sessions(n int, ended time.Duration) {
	h.t.Helper()
	h.write(func(tx *db.Tx) error {
		for i := range n {
			end := time.Now().Add(-ended).Add(time.Duration(i) * time.Microsecond)
			id := secret.Random{}.ID(end.Add(-time.Hour))
			var over *int64
			idle := db.Micros(end)
			if i%2 == 0 {
				over, idle = new(db.Micros(end)), db.Micros(end.Add(time.Minute))
			}
			if _, err := tx.Exec(`INSERT INTO session (id, account_id, roles, amr, user_agent, address, auth_at, max_at, idle_at, gen, cur, salt,
				minted_at, rotated_at, ended_at)
				VALUES ($1, 'a', '[]', '[]', '', '', 0, $2, $3, 1, $4, $4, 0, 0, $5)`,
				id, idle+1_000_000_000, idle, []byte{1}, over); err != nil {
				return err
			}
		}
		return nil
	})
}

// events appends n events of so long ago, and seals.
func (h *house) events(n int, ago time.Duration) {
	h.t.Helper()
	log := event.NewLog(quiet, secret.Random{}, func() time.Time { return time.Now().Add(-ago) }, nil)
	h.write(func(tx *db.Tx) error {
		for range n {
			log.Append(tx, event.Event{Kind: event.Login, Outcome: event.Success, Account: "a"})
		}
		return nil
	})
	if err := h.Seal(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) count(table string) (n int64) {
	h.t.Helper()
	query := map[string]string{
		"session": `SELECT COUNT(*) FROM session`, "event": `SELECT COUNT(*) FROM event`, "login": `SELECT COUNT(*) FROM event WHERE kind = 'successful_login'`,
		"run": `SELECT COUNT(*) FROM event WHERE kind = 'retention_run'`, "outbox": `SELECT COUNT(*) FROM outbox`, "ticket": `SELECT COUNT(*) FROM ticket`,
	}[table]
	if err := h.DB.Read(context.Background(), func(tx *db.Tx) error { return tx.QueryRow(query).Scan(&n) }); err != nil {
		h.t.Fatal(err)
	}
	return n
}

func (h *house) run(want error, deleted int64) {
	h.t.Helper()
	got, err := h.Run(h.t.Context(), By{Who: "operator"})
	if !errors.Is(err, want) || Total(got) != deleted {
		h.t.Errorf("a run deleted %v, %v; want %d, %v", got, err, deleted, want)
	}
}

func (h *house) verify() {
	h.t.Helper()
	if err := h.Seal(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	r, err := event.Verify(h.t.Context(), h.DB, event.VerifyOptions{})
	if err != nil || len(r.Findings) > 0 {
		h.t.Errorf("events verify: %+v, %v", r.Findings, err)
	}
}

// RET-1, RET-2, RET-4: what is over for long enough goes, and nothing else; a preview says what a run does; one event has
// the counts; the log verifies after it.
func TestRET4_WhatIsOverGoes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d)
		h.sessions(700, 31*day)
		h.sessions(11, 29*day)
		h.sessions(5, -day)
		h.events(700, 91*day)
		h.events(9, 89*day)
		h.write(func(tx *db.Tx) error {
			for i, ago := range []time.Duration{31 * day, 31 * day, 29 * day} {
				at := db.Micros(time.Now().Add(-ago))
				if _, err := tx.Exec(`INSERT INTO outbox (id, kind, account_id, sent_to, created_at, tries, error, sent_at) VALUES ($1, 'x', '', '', $2, 1, '', $2)`,
					fmt.Sprintf("sent%d", i), at); err != nil {
					return err
				}
				if _, err := tx.Exec(`INSERT INTO outbox (id, kind, account_id, sent_to, created_at, tries, error, dead_at) VALUES ($1, 'x', '', '', $2, 1, '', $2)`,
					fmt.Sprintf("dead%d", i), at-60*86_400_000_000); err != nil {
					return err
				}
			}
			return nil
		})
		due, err := h.Preview(h.t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int64{"sessions": 700, "events": 700, "sent_mails": 2, "dead_mails": 2}
		for _, one := range due {
			if one.Count != want[one.Kind] || (one.Count > 0) == one.Oldest.IsZero() || !one.Oldest.Before(one.Before) {
				t.Errorf("%s: %+v, want %d", one.Kind, one, want[one.Kind])
			}
		}
		if n := h.count("session"); n != 716 {
			t.Errorf("a preview left %d sessions", n)
		}
		h.run(nil, 1404)
		if h.count("session") != 16 || h.count("login") != 9 || h.count("outbox") != 2 || h.count("run") != 1 {
			t.Errorf("left: %d sessions, %d events, %d mails, %d runs", h.count("session"), h.count("login"), h.count("outbox"), h.count("run"))
		}
		h.run(nil, 0)
		h.verify()
	})
}

// RET-4: killed between two batches, the next run comes to the same, and its event counts all.
func TestRET4_ABrokenRunGoesOn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d)
		h.sessions(600, 31*day)
		h.events(600, 91*day)
		for range 4 {
			ctx, kill := context.WithCancel(t.Context())
			h.Pacer.Rest = func(ctx context.Context, _ time.Duration) error {
				kill() // nothing says how the run ended
				return ctx.Err()
			}
			if _, err := h.Run(ctx, By{}); !errors.Is(err, context.Canceled) {
				t.Errorf("a killed run: %v", err)
			}
		}
		if n := h.count("session") + h.count("login"); n == 0 || n == 1200 {
			t.Errorf("%d rows are left in the middle", n)
		}
		h.Pacer.Rest = func(context.Context, time.Duration) error { return nil }
		got, err := h.Run(h.t.Context(), By{Who: "operator"})
		want := []event.Deleted{{Kind: "events", Count: 600}, {Kind: "sessions", Count: 600}}
		if err != nil || !slices.Equal(got, want) || h.count("session") != 0 || h.count("login") != 0 || h.count("run") != 1 {
			t.Errorf("%v, %v: %d sessions, %d events, %d runs left", got, err, h.count("session"), h.count("login"), h.count("run"))
		}
		h.verify()
	})
}

// RET-4: of sixteen replicas that find a run due at once, one runs.
func TestRET4_OneReplicaRuns(t *testing.T) {
	d := dbtest.Open(t, dbtest.Postgres(t))
	h := open(t, d)
	h.sessions(300, 31*day)
	var wg sync.WaitGroup
	for range 16 {
		other := *h.Keeper
		other.Jobs = job.NewRunner(d, secret.Random{}.ID(time.Now()), time.Now, quiet)
		wg.Go(func() {
			if err := other.Step(h.t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if h.count("run") != 1 || h.count("session") != 0 {
		t.Errorf("%d runs, %d sessions left", h.count("run"), h.count("session"))
	}
}

// RET-4: a pause stops a run within a batch, and holds the next; what went is counted.
func TestRET4_APauseStopsARunWithinABatch(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d)
		h.sessions(3000, 31*day)
		paused := false
		h.Pacer.Rest = func(ctx context.Context, _ time.Duration) error {
			if paused {
				t.Error("another batch, after the pause")
			}
			paused = true
			return h.Pause(ctx, time.Now().Add(time.Hour), "case 4711", By{Who: "operator"})
		}
		deleted, err := h.Run(h.t.Context(), By{Who: "operator"})
		if !errors.Is(err, errPaused) || Total(deleted) == 0 || Total(deleted)+h.count("session") != 3000 || h.count("run") != 1 {
			t.Errorf("%v, %v: %d left", deleted, err, h.count("session"))
		}
		left := h.count("session")
		h.run(errPaused, 0)
		if err := h.Step(h.t.Context()); err != nil {
			t.Error(err)
		}
		st, err := h.Standing(h.t.Context())
		if err != nil || st.Hold == nil || st.Hold.Reason != "case 4711" || h.count("session") != left {
			t.Errorf("%+v, %v", st, err)
		}
		h.Pacer.Rest = func(context.Context, time.Duration) error { return nil }
		// A pause is over by itself, or is ended.
		h.ahead.Store(int64(2 * time.Hour))
		h.run(nil, left)
		h.ahead.Store(0)
		h.sessions(10, 31*day)
		h.run(errPaused, 0)
		if err := h.Resume(h.t.Context(), By{Who: "operator"}); err != nil {
			t.Fatal(err)
		}
		h.run(nil, 10)
		for _, until := range []time.Duration{-time.Second, 367 * day} {
			if err := h.Pause(h.t.Context(), time.Now().Add(until), "case", By{}); err == nil {
				t.Errorf("a pause until %s from now", until)
			}
		}
		if err := h.Pause(h.t.Context(), time.Now().Add(time.Hour), "a\x00b", By{}); err == nil {
			t.Error("a reason with a NUL")
		}
	})
}

// RET-2, RET-4: a clock that leapt, ahead or back, or that is not the database's, deletes nothing that it should not.
func TestRET4_AWrongClockDeletesNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		h := open(t, d)
		h.run(nil, 0)
		h.sessions(10, -5*day) // alive
		h.events(10, 0)
		for _, leap := range []time.Duration{365 * day, 0, 20 * day} {
			h.ahead.Store(int64(leap))
			h.run(errLeapt, 0)
			h.run(errLeapt, 0)
			if err := h.Step(h.t.Context()); err != nil {
				t.Error(err)
			}
		}
		if h.count("session") != 10 || h.count("login") != 10 {
			t.Errorf("%d sessions, %d events left", h.count("session"), h.count("login"))
		}
		st, err := h.Standing(h.t.Context())
		if err != nil || st.Wait.IsZero() {
			t.Errorf("%+v, %v", st, err)
		}
		// It is right after all, as seen a day later, hour by hour; or as the operator says.
		for range 25 {
			h.ahead.Add(int64(time.Hour))
			if _, err := h.Run(h.t.Context(), By{}); err != nil && !errors.Is(err, errLeapt) && !errors.Is(err, errNotDue) {
				t.Fatal(err)
			}
		}
		if h.count("session") != 10 { // their end is 5 days ahead, and they stay for 30
			t.Errorf("%d sessions left after a day", h.count("session"))
		}
		h.ahead.Store(0)
		h.run(errLeapt, 0)
		if err := h.Resume(h.t.Context(), By{Who: "operator"}); err != nil {
			t.Fatal(err)
		}
		h.run(nil, 0)
		// The database's clock is another.
		h.sessions(10, 31*day)
		for _, apart := range []time.Duration{6 * time.Minute, -6 * time.Minute} {
			h.Clock = func(context.Context) (time.Time, error) { return time.Now().Add(apart), nil }
			h.run(errClocks, 0)
		}
		h.Clock = func(context.Context) (time.Time, error) { return time.Now().Add(4 * time.Minute), nil }
		h.run(nil, 10)
	})
}
