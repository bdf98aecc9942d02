package backup_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

// setBack is the fixture's database as it was at a moment, by other means than a restore: a move into a new file, which takes all
// that is there.
func (f *fixture) setBack(t *testing.T) *db.DB {
	t.Helper()
	url := targets["into sqlite"](t)
	m := &backup.Move{
		Source: f.d, Target: db.Config{URL: url, MaxConns: 2}, To: url, Events: f.keeper.Events, Now: time.Now,
		Wait: func(context.Context, time.Duration) error { return nil }, Progress: func(backup.Progress) {},
	}
	if _, err := m.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.Abort(t.Context(), true); err != nil { // the original goes on
		t.Fatal(err)
	}
	return dbtest.Open(t, url)
}

// A database that was set back gets what a restore gets after loading: what was decided since, nobody signed in, another history.
func TestDB4_ADatabaseThatWasSetBackIsAdopted(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, url string) {
		f := newFixture(t, url)
		l := f.withLedger(t)
		f.add(t, "thief")
		f.happens(t, event.Event{Kind: event.Login, Account: "thief"},
			`INSERT INTO session (id, account_id, roles, amr, user_agent, address, auth_at, max_at, idle_at, gen, cur, salt, minted_at, rotated_at)
				SELECT 's', 'a1', '[]', '[]', '', '', 1, 2, 3, 1, hash, hash, 1, 1 FROM client WHERE id = 'c'`,
			`INSERT INTO ticket (id, account_id, purpose, address, address_key, password_n, hash, code_until, tries, old_hash, expires_at)
				SELECT 't1', 'a1', 'reset', '', '', 0, hash, 0, 0, '', 9 FROM event_leaf WHERE n = 0`,
			`INSERT INTO ticket (id, account_id, purpose, address, address_key, password_n, hash, code_until, tries, old_hash, expires_at)
				SELECT 't2', 'a1', 'undo', '', '', 0, hash, 0, 0, '', 9 FROM event_leaf WHERE n = 1`)
		step(t, f, l)
		d := f.setBack(t)
		f.happens(t, event.Event{Kind: event.AccountDisabled, Account: "thief"})
		step(t, f, l)

		adopt := func() (*backup.Restored, error) {
			r := f.restoring("")
			r.By = backup.By{Who: "operator"}
			m, err := r.Standing(t.Context(), d)
			if err != nil {
				return nil, err
			}
			return r.Adopt(t.Context(), d, m, func(context.Context, time.Duration) error { return nil })
		}
		// A server that runs shows that it does.
		replica := job.NewReplicas(d, secret.Random{}.ID(time.Now()), time.Now)
		r := f.restoring("")
		m, err := r.Standing(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Adopt(t.Context(), d, m, func(ctx context.Context, _ time.Duration) error { return replica.Beat(ctx) }); codeOf(err) != "replicas_running" {
			t.Errorf("while a server runs: %v", err)
		}
		was := one[string](t, d, `SELECT timeline FROM install`)
		out, err := adopt()
		if err != nil {
			t.Fatal(err)
		}
		for what, query := range map[string]string{
			"nobody is signed in": `SELECT 1 - COUNT(*) FROM session`, "undos alone": `SELECT COUNT(*) FROM ticket WHERE purpose = 'undo'`,
			"no other links": `SELECT 1 - COUNT(*) FROM ticket WHERE purpose <> 'undo'`,
			"the decision":   `SELECT COUNT(*) FROM account WHERE id = 'thief' AND disabled_at IS NOT NULL`,
			"another origin": `SELECT COUNT(*) - 1 FROM event_origin`,
			"an event":       `SELECT COUNT(*) FROM event WHERE kind = 'backup_restored'`,
		} {
			if n := one[int](t, d, query); n != 1 {
				t.Errorf("%s: %d", what, n)
			}
		}
		if now := one[string](t, d, `SELECT timeline FROM install`); now == was || now != out.Timeline || out.Again != 1 {
			t.Errorf("%s after %s, %d done again", now, was, out.Again)
		}
		if epoch := one[int64](t, d, `SELECT epoch FROM install`); epoch != out.Epoch || epoch < 2 {
			t.Errorf("epoch %d", epoch)
		}
		// Once more is no harm: it may have been killed before it said that it was done.
		if _, err := adopt(); err != nil {
			t.Error(err)
		}
		if n := one[int](t, d, `SELECT COUNT(*) FROM account WHERE disabled_at IS NULL`); n != 1 {
			t.Errorf("%d accounts may sign in", n)
		}
	})
}

// Killed at any step, an adoption is run again and ends the same.
func TestDB4_AnAdoptionThatIsKilledGoesOn(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	l := f.withLedger(t)
	f.add(t, "thief")
	f.happens(t, event.Event{Kind: event.Login, Account: "thief"})
	step(t, f, l)
	for n := 1; ; n++ {
		d := f.setBack(t)
		f.happens(t, event.Event{Kind: event.AccountDisabled, Account: "thief"})
		step(t, f, l)
		steps := 0
		adopt := func(killAt int) (died bool) {
			defer func() { died = recover() != nil }()
			r := f.restoring("")
			r.Progress = func(backup.Progress) {
				if steps++; steps == killAt {
					panic(killed{})
				}
			}
			m, err := r.Standing(context.Background(), d)
			if err == nil {
				_, err = r.Adopt(context.Background(), d, m, func(context.Context, time.Duration) error { return nil })
			}
			if err != nil {
				t.Errorf("step %d: %v", n, err)
			}
			return false
		}
		died := adopt(n)
		if died {
			steps = 0
			if adopt(-1) {
				t.Fatal("it died by itself")
			}
		}
		for what, query := range map[string]string{
			"the decision":        `SELECT COUNT(*) FROM account WHERE id = 'thief' AND disabled_at IS NOT NULL`,
			"one further origin":  `SELECT COUNT(*) - 1 FROM event_origin`,
			"one event":           `SELECT COUNT(*) FROM event WHERE kind = 'backup_restored'`,
			"nobody is signed in": `SELECT 1 - COUNT(*) FROM session`,
		} {
			if got := one[int](t, d, query); got != 1 {
				t.Errorf("killed at %d: %s: %d", n, what, got)
			}
		}
		if !died {
			break
		}
		if n > 50 {
			t.Fatal("it has no end")
		}
	}
}
