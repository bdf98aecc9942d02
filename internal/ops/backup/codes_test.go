package backup_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

// stuck is a store that hangs until its caller has no more time.
type stuck struct{ backup.Store }

func (s stuck) Put(ctx context.Context, _ string, _ []byte) error {
	<-ctx.Done()
	return ctx.Err()
}

// A store that hangs holds the database's snapshot open for as long as BACKUP_MAX_MINUTES says, and no longer.
func TestDB4_ASnapshotThatGetsTooOldIsGivenUp(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, url string) {
		f := newFixture(t, url)
		whole := f.keeper.Maker.Stores
		f.keeper.Maker.Stores, f.keeper.Maker.Most = []backup.Store{stuck{whole[0]}}, 200*time.Millisecond
		if _, err := f.keeper.Create(t.Context(), backup.By{}, true, func(backup.Progress) {}, nil); codeOf(err) != "snapshot_too_old" {
			t.Errorf("%v", err)
		}
		f.keeper.Maker.Stores, f.keeper.Maker.Most = whole, time.Hour
		f.create(t)
	})
}

// SQLite's log that grows and grows under the reader ends the backup; once it has been copied back the next is made.
func TestDB4_ALogThatGetsTooLongEndsTheBackup(t *testing.T) {
	url := dbtest.SQLite(t)
	f := newFixture(t, url)
	path, _, _ := strings.Cut(strings.TrimPrefix(url, "sqlite:"), "?")
	log, err := os.OpenFile(path+"-wal", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Truncate(1<<30 + 1); err != nil { // zeros without blocks, which SQLite takes for the log's end
		t.Fatal(err)
	}
	if _, err := f.keeper.Create(t.Context(), backup.By{}, true, func(backup.Progress) {}, nil); codeOf(err) != "log_too_long" {
		t.Errorf("%v", err)
	}
	if err := log.Truncate(max(info.Size(), one[int64](t, f.d, `PRAGMA page_size`))); err != nil {
		t.Fatal(err)
	}
}

// Where a pepper is lost the passwords that it sealed are forgotten, those kept for an undo among them, and others stay.
func TestDB4_LostPasswordsAreSetAnew(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, url string) {
		f := newFixture(t, url)
		f.add(t, "sealed", "open", "none")
		err := f.d.Write(t.Context(), func(tx *db.Tx) error {
			for _, q := range []string{
				`UPDATE account SET hash = 'lost' WHERE id = 'sealed'`, `UPDATE account SET hash = '' WHERE id = 'none'`,
				`INSERT INTO former_password (id, account_id, hash, from_n, until_at) VALUES ('f1', 'open', 'lost', 0, 9), ('f2', 'open', 'h', 0, 9)`,
			} {
				if _, err := tx.Exec(q); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		m := f.create(t).Manifest
		for name, target := range targets {
			t.Run(name, func(t *testing.T) {
				url := target(t)
				r := f.restoring(url)
				r.Opens = func(stored string) bool { return stored != "lost" }
				out, err := restore(t.Context(), r, f.install, m.ID)
				if err != nil || out.Passwords != 1 {
					t.Fatalf("%+v %v", out, err)
				}
				d := dbtest.Open(t, url)
				for what, query := range map[string]string{
					"set anew":     `SELECT COUNT(*) FROM account WHERE id = 'sealed' AND hash = '' AND reset_at IS NOT NULL AND password_n > 0`,
					"as it was":    `SELECT COUNT(*) FROM account WHERE id = 'open' AND hash = 'h' AND reset_at IS NULL`,
					"without one":  `SELECT COUNT(*) FROM account WHERE id = 'none' AND hash = '' AND reset_at IS NULL`,
					"for an undo":  `SELECT COUNT(*) FROM former_password WHERE id = 'f2'`,
					"and no other": `SELECT COUNT(*) FROM former_password`,
				} {
					if n := one[int](t, d, query); n != 1 {
						t.Errorf("%s: %d", what, n)
					}
				}
			})
		}
	})
}
