package backup_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

// Two replicas find that a backup is due at the same time: the first makes one, and drills
// it; afterwards none is due. A drill that fails is recorded, and the backup stays.
func TestABackupThatIsDueIsMadeAndDrilled(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, url string) {
		f := newFixture(t, url)
		scratch := t.TempDir()
		var tried []string
		trouble := errors.New("nobody can sign in")
		f.keeper.Scratch = backup.Scratch{Dir: scratch, Restore: *f.restoring(""), Try: func(_ context.Context, url string) error {
			tried = append(tried, url)
			if len(tried) == 1 {
				return trouble
			}
			return nil
		}}
		if err := f.keeper.Step(t.Context()); !errors.Is(err, trouble) {
			t.Fatal(err)
		}
		standing := func() (s backup.Standing) {
			err := f.d.Read(t.Context(), func(tx *db.Tx) (err error) { s, err = backup.Stand(tx); return err })
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		st := standing()
		if st.Good.IsZero() || !st.Drilled.IsZero() || st.Failures != 0 {
			t.Errorf("%+v", st)
		}
		if text, err := f.keeper.Astray(t.Context(), f.install); text != "" || err != nil {
			t.Error(text, err)
		}
		// A day later.
		later := time.Now().Add(25 * time.Hour)
		var both sync.WaitGroup
		for _, holder := range []string{"one", "two"} {
			k := *f.keeper
			k.Now = func() time.Time { return later }
			k.Maker.Now = k.Now
			k.Jobs = job.NewRunner(f.d, holder, time.Now, slog.New(slog.DiscardHandler))
			both.Go(func() {
				if err := k.Step(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		if st = standing(); st.Drilled.IsZero() || st.Due(later, f.keeper.Every) {
			t.Errorf("%+v", st)
		}
		list, err := backup.List(t.Context(), f.keeper.Maker.Stores, f.keeper.Trust, f.install)
		if err != nil || len(list) < 2 || len(list) > 3 {
			t.Errorf("%d backups, %v", len(list), err)
		}
		if left, _ := os.ReadDir(scratch); len(left) > 0 || !strings.HasPrefix(tried[0], "sqlite:"+scratch) {
			t.Errorf("drills in %v left %v", tried, left)
		}
		// Somebody takes the newest away, or puts another in its place.
		path := f.path(list[0].ID, "manifest.json")
		if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if text, _ := f.keeper.Astray(t.Context(), f.install); !strings.Contains(text, "changed") {
			t.Error(text)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if text, _ := f.keeper.Astray(t.Context(), f.install); !strings.Contains(text, "gone") {
			t.Error(text)
		}
	})
}

// A drill into a database that is named leaves it there, as a restore would, and takes none that has something in it.
func TestDB4_ADrillIntoAnotherDatabase(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	id := f.create(t).Manifest.ID
	for name, target := range targets {
		t.Run(name, func(t *testing.T) {
			url, tried := target(t), ""
			f.keeper.Scratch = backup.Scratch{
				Into: url, Restore: *f.restoring(""), Try: func(_ context.Context, at string) error { tried = at; return nil },
			}
			drill := func() error {
				_, err := f.keeper.DrillOne(t.Context(), f.keeper.Maker.Stores[0], f.install, id, []age.Identity{f.id}, backup.By{}, func(backup.Progress) {})
				return err
			}
			if err := drill(); err != nil || tried != url {
				t.Fatalf("%v, tried at %s", err, tried)
			}
			if n := one[int](t, dbtest.Open(t, url), `SELECT COUNT(*) FROM account`); n == 0 {
				t.Error("it is empty")
			}
			if err := drill(); codeOf(err) != "target_not_empty" {
				t.Errorf("again: %v", err)
			}
		})
	}
}
