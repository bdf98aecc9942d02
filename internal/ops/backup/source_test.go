package backup_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

// opening returns what opens the server that backups are read from.
func opening(url string) func(context.Context) (*db.DB, error) {
	return func(ctx context.Context) (*db.DB, error) { return db.Open(ctx, db.Config{URL: url, MaxConns: 1}) }
}

// A backup is read from the other server if that is of the same history and has come as far.
func TestDB4_ABackupReadFromAnotherServer(t *testing.T) {
	url := dbtest.Postgres(t)
	f := newFixture(t, url)
	f.keeper.Maker.From = opening(url)
	made := f.create(t)
	if r := f.verify(t, made.Manifest.ID, f.id); len(r.Findings) > 0 || made.Manifest.Tables["account"].Rows != 1 {
		t.Errorf("%+v", r)
	}
	create := func() error {
		_, err := f.keeper.Create(t.Context(), backup.By{}, true, func(backup.Progress) {}, nil)
		return err
	}
	// Of another installation.
	other := dbtest.Postgres(t)
	d := dbtest.Open(t, other)
	if _, err := keyring.Open(t.Context(), d, secret.Random{}, time.Now(), keyring.Config{Secret: master, Life: time.Minute}); err != nil {
		t.Fatal(err)
	}
	f.keeper.Maker.From = opening(other)
	if err := create(); codeOf(err) != "standby_not_ours" {
		t.Errorf("of another installation: %v", err)
	}
	// One that lags: here the same as it was a while ago. It is waited for, and then it is said.
	behind := targets["into postgres"](t)
	m := &backup.Move{
		Source: f.d, Target: db.Config{URL: behind, MaxConns: 2}, To: behind, Events: f.keeper.Events, Now: time.Now,
		Wait: func(context.Context, time.Duration) error { return nil }, Progress: func(backup.Progress) {},
	}
	if _, err := m.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.Abort(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		f.happens(t, event.Event{Kind: event.Login, Account: "a1"})
	}
	f.seal(t)
	f.keeper.Maker.From = opening(behind)
	waits := 0
	f.keeper.Maker.Wait = func(context.Context, time.Duration) error { waits++; return nil }
	if err := create(); codeOf(err) != "standby_behind" || waits != 60 {
		t.Errorf("behind: %v after %d looks", err, waits)
	}
	// And one that is away, which is no backup either.
	f.keeper.Maker.From = func(context.Context) (*db.DB, error) { return nil, errors.New("away") }
	if err := create(); err == nil {
		t.Error("a server that is away")
	}
}

// slow is a store that takes its time for a part.
type slow struct {
	backup.Store
	waiting string // the folder with what waits, looked at with each put
	most    int    // how many parts waited at once
	puts    int
}

func (s *slow) Put(ctx context.Context, name string, data []byte) error {
	n := 0
	_ = filepath.WalkDir(s.waiting, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return nil
	})
	s.most = max(s.most, n)
	s.puts++
	time.Sleep(50 * time.Millisecond)
	return s.Store.Put(ctx, name, data)
}

// What a slow store keeps waiting waits on the disk, encrypted; the backup is the same, and nothing stays there.
func TestDB4_PartsWaitForASlowStore(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	spool := filepath.Join(t.TempDir(), "spool")
	s := &slow{Store: f.keeper.Maker.Stores[0], waiting: spool}
	f.keeper.Maker.Stores, f.keeper.Maker.Spool = []backup.Store{s}, spool
	made := f.create(t)
	if r := f.verify(t, made.Manifest.ID, f.id); len(r.Findings) > 0 || r.Parts < 8 {
		t.Errorf("%+v", r)
	}
	if s.most < len(made.Manifest.Parts)-4 {
		t.Errorf("%d of %d parts waited", s.most, len(made.Manifest.Parts))
	}
	left := func() int {
		list, err := os.ReadDir(spool)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	if left() != 0 {
		t.Error("something still waits")
	}
	// A store that is away at the end, and a disk that can't be written: no backup, and nothing stays.
	f.keeper.Maker.Stores = []backup.Store{&failing{Store: s, at: 12, how: errors.New("away")}}
	f.keeper.Maker.Wait = func(context.Context, time.Duration) error { return errors.New("away for long") }
	if _, err := f.keeper.Create(t.Context(), backup.By{}, true, func(backup.Progress) {}, nil); err == nil || left() != 0 {
		t.Errorf("%v, %d left", err, left())
	}
	if err := os.WriteFile(filepath.Join(spool, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.keeper.Maker.Stores, f.keeper.Maker.Spool = []backup.Store{s}, filepath.Join(spool, "file")
	if _, err := f.keeper.Create(t.Context(), backup.By{}, true, func(backup.Progress) {}, nil); err == nil {
		t.Error("it waited in a file")
	}
}
