package moving

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// quick is a move that waits for nobody.
func quick(h *harness.Server, to string) *backup.Move {
	h.Helper()
	m := moving(h, to)
	m.Wait = func(context.Context, time.Duration) error { return nil }
	return m
}

// codeOf is the code of a fault.
func codeOf(err error) string {
	if f := fault.As(err); f != nil {
		return f.Code
	}
	return ""
}

// standing is how the server's database stands.
func standing(h *harness.Server) db.Standing {
	h.Helper()
	s, err := dbtest.Open(h.T, h.DBURL).Standing(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	return s
}

// past changes the server's database as nobody but a move may while it is fenced.
func past(h *harness.Server, statement string, args ...any) {
	h.Helper()
	err := dbtest.Open(h.T, h.DBURL).Write(db.PastFence(h.Context()), func(tx *db.Tx) error {
		_, err := tx.Exec(statement, args...)
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
}

// at runs a move that does something at a step, and goes on.
func at(m *backup.Move, step string, do func()) (*backup.Moved, error) {
	done := false
	m.Progress = func(p backup.Progress) {
		if p.Step == step && !done {
			done = true
			do()
		}
	}
	return m.Run(context.Background())
}

// killedWhen runs a move that ends at a step as if it were killed.
func killedWhen(h *harness.Server, m *backup.Move, step string) {
	h.Helper()
	defer func() {
		if r := recover(); r != errKilled {
			h.Errorf("it was not killed: %v", r)
		}
	}()
	_, err := at(m, step, func() { panic(errKilled) })
	h.Errorf("it ended: %v", err)
}

// Once the old database says that it has moved, a move that was broken off goes on into the one that it was filling, and into no
// other: two would be served from.
func TestAMoveThatWasBrokenOffGoesNowhereElse(t *testing.T) {
	lite := filepath.Join(t.TempDir(), "new.db")
	for name, c := range map[string]struct{ to, fresh string }{
		"PostgreSQL": {dbtest.EmptyPostgres(t), dbtest.EmptyPostgres(t)},
		"SQLite":     {"sqlite:" + lite, "sqlite:" + filepath.Join(t.TempDir(), "fresh.db")},
	} {
		t.Run(name, func(t *testing.T) {
			h := harness.Open(t, dbtest.SQLite(t), harness.SharedURL)
			h.Register(ada)
			killedWhen(h, quick(h, c.to), "opening the new database")
			if s := standing(h); s.MovedTo != "the new one" {
				t.Fatalf("%+v", s)
			}
			elsewhere := quick(h, c.fresh)
			elsewhere.To = "another one"
			if _, err := elsewhere.Run(t.Context()); codeOf(err) != "moved" || !strings.Contains(err.Error(), "the new one") {
				t.Errorf("to somewhere else: %v", err)
			}
			if _, err := quick(h, c.fresh).Run(t.Context()); codeOf(err) != "moved" {
				t.Errorf("to what is called the same: %v", err)
			}
			if _, err := quick(h, c.to).Run(t.Context()); err != nil {
				t.Errorf("to where it was going: %v", err)
			}
			if _, err := quick(h, c.to).Run(t.Context()); codeOf(err) != "moved" {
				t.Errorf("once more: %v", err)
			}
			if c.to == "sqlite:"+lite { // and is served from there
				if err := os.Rename(lite, filepath.Join(t.TempDir(), "elsewhere.db")); err != nil {
					t.Fatal(err)
				}
				if _, err := quick(h, c.to).Run(t.Context()); codeOf(err) != "moved" {
					t.Errorf("where it was: %v", err)
				}
			}
		})
	}
}

// The operator takes a move back whose new database was lost before anything was served from it; only if asked to.
func TestAMoveIsTakenBack(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register(ada)
		if err := quick(h, "").Abort(h.Context(), false); codeOf(err) != "not_moving" {
			h.Errorf("no move: %v", err)
		}
		if err := quick(h, "").Abort(h.Context(), true); codeOf(err) != "not_moving" {
			h.Errorf("no move: %v", err)
		}
		killedWhen(h, quick(h, "sqlite:"+filepath.Join(h.TempDir(), "new.db")), "opening the new database")
		if err := quick(h, "").Abort(h.Context(), false); codeOf(err) != "moved" {
			h.Errorf("it has moved: %v", err)
		}
		if err := quick(h, "").Abort(h.Context(), true); err != nil {
			h.Error(err)
		}
		h.Eventually("a sign-in", func() (string, bool) {
			a := h.Do(harness.SignInAs(ada, harness.Passphrase))
			return a.Text, a.Status == 200
		})
	})
}

// However long the new database takes to be made ready, whoever may still write has the whole time to end.
func TestTheFenceStandsBeforeItIsRead(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	m := quick(h, "sqlite:"+filepath.Join(t.TempDir(), "new.db"))
	var waited []time.Duration
	m.Wait = func(_ context.Context, d time.Duration) error {
		if standing(h).FencedAt == 0 {
			t.Error("it waits before there is a fence")
		}
		waited = append(waited, d)
		return nil
	}
	slow := time.Duration(0)
	m.Now = func() time.Time { slow += time.Minute; return time.Now().Add(slow) }
	if _, err := m.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(waited) != 1 || waited[0] != db.FenceWait {
		t.Errorf("%v, not %v", waited, db.FenceWait)
	}
}

// A move whose fence was lifted while it copied does not say that the installation has moved, and leaves another's fence alone.
// Nor does it if somebody wrote.
func TestAMoveNoticesWhatHappenedMeanwhile(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register(ada)
		h.Login(ada)
		_, err := at(quick(h, "sqlite:"+filepath.Join(h.TempDir(), "1.db")), "comparing", func() {
			past(h, `UPDATE install SET fenced_at = 0 WHERE one = 1`)
			past(h, `UPDATE install SET fenced_at = 17 WHERE one = 1`)
		})
		if s := standing(h); err == nil || s.FencedAt != 17 || s.MovedTo != "" {
			h.Errorf("another's fence: %+v, %v", s, err)
		}
		if err := quick(h, "").Abort(h.Context(), false); err != nil {
			h.Fatal(err)
		}
		past(h, `INSERT INTO client_grant (id, client_id, account_id, sid, offline, scope, resource, roles, amr, auth_at, nonce, code, code_until, redirect_uri,
			challenge, created_at, gen, minted_at, rotated_at, idle_at, max_at) VALUES ('g', 'c', 'a', 's', 0, '', '', '', '', 0, '', $1, 0, '', '', 0, 1, 0, 0, 0, 0)`,
			[]byte{1})
		for n, statement := range []string{`UPDATE session SET gen = gen + 1`, `UPDATE client_grant SET gen = gen + 1`} {
			_, err := at(quick(h, "sqlite:"+filepath.Join(h.TempDir(), string(rune('2'+n))+".db")), "comparing", func() { past(h, statement) })
			if s := standing(h); err == nil || s.FencedAt != 0 || s.MovedTo != "" {
				h.Errorf("%s: %+v, %v", statement, s, err)
			}
		}
	})
}

// Killed before the fence is up, a move has made tables in the new database; the next one takes these over. It does not take over
// what was copied before the old database took changes again.
func TestAMoveThatIsKilledBeforeItsFence(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t))
	h.Register(ada)
	to := dbtest.EmptyPostgres(t)
	l, err := db.Load(t.Context(), db.Config{URL: to}, db.MoveMark+"1", db.Newest(), 1)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	killedWhen(h, quick(h, to), "comparing")
	if err := quick(h, "").Abort(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if _, err := quick(h, to).Run(t.Context()); codeOf(err) != "restore_unfinished" || !strings.Contains(err.Error(), "drop the database") {
		t.Errorf("over what is old: %v", err)
	}
	to = dbtest.EmptyPostgres(t)
	if l, err = db.Load(t.Context(), db.Config{URL: to}, db.MoveMark+"1", db.Newest(), 1); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := quick(h, to).Run(t.Context()); err != nil {
		t.Errorf("over empty tables: %v", err)
	}
}

// Nothing is migrated that is being moved, or has moved.
func TestWhatMovesIsNotMigrated(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		to := "sqlite:" + filepath.Join(h.TempDir(), "new.db")
		killedWhen(h, quick(h, to), "comparing")
		if _, err := dbtest.Open(h.T, h.DBURL).Migrate(h.Context()); codeOf(err) != "fenced" {
			h.Error(err)
		}
		if _, err := quick(h, to).Run(h.Context()); err != nil {
			h.Fatal(err)
		}
		if _, err := dbtest.Open(h.T, h.DBURL).Migrate(h.Context()); codeOf(err) != "moved" {
			h.Error(err)
		}
	})
}

// A server that is left on the old database answers nothing from it once that has moved: who signs out in the new one would be
// signed in here.
func TestAServerThatIsLeftBehindAnswersNothing(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register(ada)
		in := h.Login(ada)
		m := moving(h, "sqlite:"+filepath.Join(h.TempDir(), "new.db"))
		if _, err := at(m, "leaving the old database", func() { h.Expect(200, "", harness.Get("/v1/me", in.Str("access_token"))) }); err != nil {
			h.Fatal(err)
		}
		h.Eventually("nothing to be read", func() (string, bool) {
			a := h.Do(harness.Get("/v1/me", in.Str("access_token")))
			return a.Text, a.Status == 503
		})
		old := dbtest.Open(h.T, h.DBURL)
		err := old.Read(h.Context(), old.Watch)
		if codeOf(err) != "database_unavailable" || !strings.Contains(errors.Unwrap(fault.As(err)).Error(), "moved to the new one") {
			h.Errorf("%v", err)
		}
		if err := old.Read(h.Context(), func(*db.Tx) error { return nil }); codeOf(err) != "database_unavailable" {
			h.Errorf("a read: %v", err)
		}
	})
}

// Two moves into one database at once, of which neither knows: the second is refused as long as the first is at it, and nothing of the
// first is lost.
func TestDB4_OneMoveAtATimeIntoADatabase(t *testing.T) {
	to := dbtest.EmptyPostgres(t)
	h := harness.Open(t, dbtest.SQLite(t), harness.SharedURL)
	h.Register(ada)
	first, second := quick(h, to), quick(h, to)
	var refused error
	if _, err := at(first, "copying account", func() { _, refused = second.Run(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	if codeOf(refused) != "target_busy" {
		t.Errorf("a second move: %v", refused)
	}
	next := harness.Open(t, to, harness.SharedURL)
	next.Expect(200, "", harness.SignInAs(ada, harness.Passphrase))
}
