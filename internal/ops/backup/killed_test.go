package backup_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

// killing is a store under which the process dies at a put: before it, or once it is done.
type killing struct {
	backup.Store
	at, puts int
	after    bool
}

type killed struct{}

func (s *killing) Put(ctx context.Context, name string, data []byte) error {
	s.puts++
	if s.puts == s.at && !s.after {
		panic(killed{})
	}
	err := s.Store.Put(ctx, name, data)
	if s.puts == s.at {
		panic(killed{})
	}
	return err
}

// createKilled makes a backup that dies at a put, as a process does that is killed: nothing tidies up. It says whether it came to that.
func (f *fixture) createKilled(s *killing) (died bool) {
	defer func() {
		if r := recover(); r != nil {
			_ = r.(killed)
			died = true
		}
	}()
	f.keeper.Maker.Stores = []backup.Store{s}
	if l := f.keeper.Maker.Ledger; l != nil {
		l.Stores = f.keeper.Maker.Stores
	}
	_, _ = f.keeper.Create(context.Background(), backup.By{}, true, func(backup.Progress) {}, nil)
	return false
}

// Killed at any put, of a part, of the ledger or of the manifest, a backup is whole or none; the next one is made as if nothing had
// been, the ledger has no gap, and what is left goes once it is old.
func TestDB4_ABackupThatIsKilledAtAnyPut(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	f.withLedger(t)
	whole := f.keeper.Maker.Stores[0]
	good := 0
	for at := 1; ; at++ {
		f.happens(t, event.Event{Kind: event.PasswordChange, Account: fmt.Sprint("a", at)}) // so that there is something for the ledger
		died := f.createKilled(&killing{Store: whole, at: at, after: at%2 == 0})
		if _, err := os.Stat(f.dir); err != nil {
			t.Fatal(err)
		}
		list, err := backup.List(t.Context(), []backup.Store{whole}, f.keeper.Trust, f.install)
		if err != nil || len(list) != good && len(list) != good+1 {
			t.Fatalf("killed at %d: %+v %v", at, list, err)
		}
		for _, e := range list {
			if r := f.verify(t, e.ID, f.id); len(r.Findings) > 0 {
				t.Errorf("killed at %d: %+v", at, r.Findings)
			}
		}
		good = len(list)
		if !died {
			break
		}
		err = f.d.Write(t.Context(), func(tx *db.Tx) error { // its lease is over some time
			_, err := tx.Exec(`UPDATE job SET leased_to = 0, holder = '' WHERE name = $1`, backup.Lease)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if good == 0 {
		t.Fatal("none was made")
	}
	f.keeper.Maker.Stores = []backup.Store{whole}
	f.keeper.Maker.Ledger.Stores = f.keeper.Maker.Stores
	f.keeper.Maker.Now = func() time.Time { return time.Now().Add(49 * time.Hour) }
	made := f.create(t)
	folders, err := filepath.Glob(filepath.Join(f.dir, "backup", f.install, "*"))
	if err != nil || len(folders) != good+1 {
		t.Errorf("%d folders of %d backups, %v", len(folders), good+1, err)
	}
	for _, e := range append([]string{made.Manifest.ID}, f.oldest(t)) {
		if _, err := f.restoring(targets["into sqlite"](t)).Read(t.Context(), f.install, e); err != nil {
			t.Errorf("the ledger of %s: %v", e, err)
		}
	}
}

// oldest is the id of the oldest backup.
func (f *fixture) oldest(t *testing.T) string {
	t.Helper()
	list, err := backup.List(t.Context(), []backup.Store{backup.NewFolder(f.dir)}, f.keeper.Trust, f.install)
	if err != nil || len(list) == 0 {
		t.Fatalf("%+v %v", list, err)
	}
	return list[len(list)-1].ID
}

// Replicas to all of which a backup is due at once: it is made, and nobody fails.
func TestDB4_ReplicasToWhichABackupIsDueAtOnce(t *testing.T) {
	f := newFixture(t, dbtest.Postgres(t))
	f.withLedger(t)
	f.keeper.Scratch = backup.Scratch{
		Dir: t.TempDir(), Restore: *f.restoring(""), Try: func(context.Context, string) error { return nil },
	}
	var wg sync.WaitGroup
	for i := range 16 {
		k := *f.keeper
		k.Jobs = job.NewRunner(f.d, fmt.Sprint("replica ", i), time.Now, slog.New(slog.DiscardHandler))
		wg.Go(func() {
			if err := k.Step(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list, err := backup.List(t.Context(), f.keeper.Maker.Stores, f.keeper.Trust, f.install)
	if err != nil || len(list) == 0 {
		t.Fatalf("%+v %v", list, err)
	}
	for _, e := range list {
		if r := f.verify(t, e.ID, f.id); len(r.Findings) > 0 {
			t.Errorf("%+v", r.Findings)
		}
	}
	if n := one[int](t, f.d, `SELECT COUNT(*) FROM backup_run WHERE kind = 'create' AND error <> ''`); n != 0 {
		t.Errorf("%d failures", n)
	}
}
