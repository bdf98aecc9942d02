package backup_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

const (
	eventKey = "an event key for tests, of more than 32 characters"
	master   = "a secret key for tests, of more than 32 characters"
)

// fixture is a database with a few rows, and where its backups go.
type fixture struct {
	d       *db.DB
	dir     string
	id      *age.X25519Identity
	install string
	keeper  *backup.Keeper
}

func newFixture(t *testing.T, url string) *fixture {
	t.Helper()
	f := &fixture{d: dbtest.Open(t, url), dir: t.TempDir()}
	var err error
	if f.id, err = age.GenerateX25519Identity(); err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Open(t.Context(), f.d, secret.Random{}, time.Now(), keyring.Config{Secret: master, Life: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	f.install = ring.InstallID
	fill(t, f.d)
	log := event.NewLog(slog.New(slog.DiscardHandler), secret.Random{}, time.Now, nil)
	for range 5 {
		err := f.d.Write(t.Context(), func(tx *db.Tx) error {
			log.Append(tx, event.Event{Kind: event.Login, Outcome: event.Success, Account: "a1"})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	f.seal(t)
	recipients, err := backup.ParseRecipients(f.id.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	f.keeper = &backup.Keeper{
		DB: f.d, Events: log, Jobs: job.NewRunner(f.d, "test", time.Now, slog.New(slog.DiscardHandler)), Trust: backup.Trust{EventKey: eventKey},
		Random: secret.Random{}, Now: time.Now, Keep: backup.Keep{Days: 7, Weeks: 4, Months: 3}, Every: 24 * time.Hour,
		Maker: backup.Maker{
			DB: f.d, Stores: []backup.Store{backup.NewFolder(f.dir)}, Recipients: recipients, EventKey: eventKey, Version: "test",
			Needs: func(install string) backup.Needs {
				return backup.Needs{JWT: []string{keyring.Fingerprint(master, install)}, Pepper: []string{}}
			},
			Random: secret.Random{}, Now: time.Now, Most: time.Minute, Wait: backup.Sleep,
		},
	}
	return f
}

func (f *fixture) seal(t *testing.T) {
	t.Helper()
	// On PostgreSQL others' transactions may hold back what can be sealed.
	for try := 0; ; try++ {
		sealer := event.NewSealer(f.d, eventKey, time.Now)
		if _, err := sealer.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		var open int
		err := f.d.Read(t.Context(), func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT (SELECT COUNT(*) FROM event) - (SELECT COUNT(*) FROM event_leaf)`).Scan(&open)
		})
		if err != nil {
			t.Fatal(err)
		}
		if open <= 0 {
			return
		}
		if try == 100 {
			t.Fatalf("%d events are not sealed", open)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// fill writes a person with everything that one may have.
func fill(t *testing.T, d *db.DB) {
	t.Helper()
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		for _, q := range []string{
			`INSERT INTO account (id, email, email_key, name, locale, roles, hash, created_at, verified_at) VALUES
				('a1', 'Zoë@example.org', 'zoë@example.org', 'Zoë 🐈 \ ', 'en', '["admin"]', 'h', 1, NULL)`,
			`INSERT INTO known_device (id, account_id, account, created_at, seen_at) VALUES ('d', 'a1', 'k', 1, 1)`,
			`INSERT INTO client (id, name, hash, old_until, created_at, rotated_at) VALUES ('c', 'app', $1, 0, 1, 1)`,
			`INSERT INTO guess (k, account, n, next_at, seen_at) VALUES ('k', 'k', 3, 4, 5)`,
		} {
			var args []any
			if strings.Contains(q, "$1") {
				args = []any{[]byte{0, 1, 0xff, '\\'}}
			}
			if _, err := tx.Exec(q, args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) create(t *testing.T) *backup.Made {
	t.Helper()
	made, err := f.keeper.Create(t.Context(), backup.By{Who: "operator"}, true, func(backup.Progress) {}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (f *fixture) verify(t *testing.T, id string, with ...age.Identity) backup.Report {
	t.Helper()
	r, err := backup.Verify(t.Context(), backup.NewFolder(f.dir), f.keeper.Trust, f.install, id, with, func(backup.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// files are the files of a backup, by their names.
func (f *fixture) path(id, name string) string {
	return filepath.Join(f.dir, "backup", f.install, id, name)
}

func codeOf(err error) string {
	if f := fault.As(err); f != nil {
		return f.Code
	}
	return fmt.Sprint(err)
}

func TestABackupIsMadeReadBackAndVerified(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, url string) {
		f := newFixture(t, url)
		made := f.create(t)
		m := made.Manifest
		if m.Tables["account"].Rows != 1 || m.Tables["event"].Rows != 5 || m.Log.Size != 5 || m.Log.Checkpoint == "" || m.SQLiteOnly || m.Needs.Verifier == "" {
			t.Errorf("%+v", m)
		}
		for _, keys := range [][]age.Identity{nil, {f.id}} {
			if r := f.verify(t, m.ID, keys...); len(r.Findings) > 0 || r.Opened != (keys != nil) || r.Rows != m.Rows() {
				t.Errorf("%+v", r)
			}
		}
		// 0600 in 0700, and nothing but parts and a manifest.
		err := filepath.WalkDir(filepath.Join(f.dir, "backup"), func(path string, e fs.DirEntry, err error) error {
			info, _ := e.Info()
			if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[e.IsDir()]; info.Mode().Perm() != want {
				t.Errorf("%s has the mode %v", path, info.Mode())
			}
			b, _ := os.ReadFile(path) //nolint:gosec // the test's
			if bytes.Contains(b, []byte("example.org")) {
				t.Errorf("%s holds an address in clear", path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		f.seal(t)
		var kind, detail string
		err = f.d.Read(t.Context(), func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT e.kind, p.data FROM event AS e JOIN event_personal AS p ON p.event_id = e.id ORDER BY e.id DESC LIMIT 1`).Scan(&kind, &detail)
		})
		if err != nil || kind != "backup_created" || !strings.Contains(detail, m.ID) {
			t.Errorf("%s %s %v", kind, detail, err)
		}
		second := f.create(t)
		if k := second.Manifest.Kept; len(k) != 1 || k[0].ID != m.ID || k[0].SHA256 != made.SHA256 {
			t.Errorf("kept: %+v", k)
		}
		list, err := backup.List(t.Context(), f.keeper.Maker.Stores, f.keeper.Trust, f.install)
		if err != nil || len(list) != 2 || list[0].ID != second.Manifest.ID || list[0].Problem != "" {
			t.Errorf("%+v %v", list, err)
		}
	})
}

// The table "Verify, and what is done to a backup", row by row.
func TestTamperingTable(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	other := f.create(t).Manifest.ID
	id := f.create(t).Manifest.ID
	const part = "account-00001.zst.age"
	read := func(path string) []byte {
		b, err := os.ReadFile(path) //nolint:gosec // the test's
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	write := func(path string, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil { //nolint:gosec // the test's
			t.Fatal(err)
		}
	}
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file       string
		change     func(whole []byte) []byte // nil: the file is deleted
		with       *age.X25519Identity
		what, says string
	}{
		"a bit flipped":           {part, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, nil, "changed", part},
		"cut":                     {part, func(b []byte) []byte { return b[:len(b)-1] }, nil, "changed", part},
		"longer":                  {part, func(b []byte) []byte { return append(b, 0) }, nil, "changed", part},
		"swapped between parts":   {part, func([]byte) []byte { return read(f.path(id, "guess-00001.zst.age")) }, nil, "changed", part},
		"swapped between backups": {part, func([]byte) []byte { return read(f.path(other, part)) }, nil, "changed", part},
		"missing":                 {part, nil, nil, "missing", part},
		"the manifest edited": {"manifest.json", func(b []byte) []byte { return bytes.Replace(b, []byte(`"rows":1`), []byte(`"rows":2`), 1) }, nil,
			"unsigned", "signature"},
		"the manifest of another":     {"manifest.json", func([]byte) []byte { return read(f.path(other, "manifest.json")) }, nil, "not_ours", other},
		"the manifest missing":        {"manifest.json", nil, nil, "missing", "no manifest"},
		"a part that nobody made":     {"account-00002.zst.age", func([]byte) []byte { return []byte("x") }, nil, "unknown", "account-00002"},
		"the wrong identity":          {"", nil, stranger, "no_identity", f.id.Recipient().String()},
		"the right one, nothing done": {"", nil, f.id, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.file != "" {
				path := f.path(id, c.file)
				whole, err := os.ReadFile(path) //nolint:gosec // the test's
				if c.change == nil {
					if err := os.Remove(path); err != nil {
						t.Fatal(err)
					}
				} else {
					write(path, c.change(bytes.Clone(whole)))
				}
				defer func() {
					if err != nil {
						_ = os.Remove(path)
						return
					}
					write(path, whole)
				}()
			}
			var with []age.Identity
			if c.with != nil {
				with = append(with, c.with)
			}
			r := f.verify(t, id, with...)
			if c.what == "" {
				if len(r.Findings) > 0 {
					t.Errorf("%+v", r.Findings)
				}
				return
			}
			if len(r.Findings) != 1 || r.Findings[0].What != c.what || !strings.Contains(r.Findings[0].Text, c.says) {
				t.Errorf("%+v", r.Findings)
			}
		})
	}
	// The manifest of an older backup that this one names was replaced.
	write(f.path(other, "manifest.json"), []byte("{}"))
	if r := f.verify(t, id); len(r.Findings) != 1 || r.Findings[0].What != "changed" || !strings.Contains(r.Findings[0].Text, other) {
		t.Errorf("%+v", r.Findings)
	}
}

// Text that PostgreSQL refuses is in the backup as it is, which says so, and does not fail.
func TestTextThatPostgreSQLRefusesMarksTheBackup(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	err := f.d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE account SET name = CAST($1 AS TEXT)`, []byte("a\xffb\x00c"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	made := f.create(t)
	if !made.Manifest.SQLiteOnly || len(made.Unportable) != 1 || made.Unportable[0] != "account" {
		t.Errorf("%v %v", made.Manifest.SQLiteOnly, made.Unportable)
	}
	if r := f.verify(t, made.Manifest.ID, f.id); len(r.Findings) > 0 {
		t.Errorf("%+v", r.Findings)
	}
}

// One backup an installation: whoever comes second is refused; and one that is no longer the
// holder of the lease puts no manifest.
func TestOneBackupAtATime(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, url string) {
		f := newFixture(t, url)
		second := *f.keeper
		second.Jobs = job.NewRunner(f.d, "another", time.Now, slog.New(slog.DiscardHandler))
		_, err := f.keeper.Create(t.Context(), backup.By{}, true, func(backup.Progress) {}, func(ctx context.Context, _ *backup.Made) error {
			_, err := second.Create(ctx, backup.By{}, true, func(backup.Progress) {}, nil)
			if codeOf(err) != "backup_running" {
				t.Errorf("a second backup: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		// The process was suspended, and another has the lease.
		stolen := false
		_, err = f.keeper.Create(t.Context(), backup.By{}, true, func(p backup.Progress) {
			if p.Step != "reading back" || stolen {
				return
			}
			stolen = true
			err := f.d.Write(context.Background(), func(tx *db.Tx) error {
				_, err := tx.Exec(`UPDATE job SET holder = 'another' WHERE name = $1`, backup.Lease)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}, nil)
		if err == nil || !strings.Contains(err.Error(), "lease") {
			t.Errorf("without the lease: %v", err)
		}
		list, err := backup.List(t.Context(), f.keeper.Maker.Stores, f.keeper.Trust, f.install)
		if err != nil || len(list) != 1 {
			t.Errorf("%+v %v", list, err)
		}
		left, _ := filepath.Glob(filepath.Join(f.dir, "backup", f.install, "*"))
		if len(left) != 1 {
			t.Errorf("parts were left: %v", left)
		}
	})
}

// failing is a store that fails at a call.
type failing struct {
	backup.Store
	at    int
	calls int
	how   error
}

func (s *failing) fail() error {
	if s.calls++; s.calls == s.at {
		return s.how
	}
	return nil
}

func (s *failing) Put(ctx context.Context, name string, data []byte) error {
	if err := s.fail(); err != nil {
		return err
	}
	return s.Store.Put(ctx, name, data)
}

func (s *failing) Get(ctx context.Context, name string, most int64) ([]byte, error) {
	if err := s.fail(); err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, name, most)
}

// Wherever the store refuses, there is no backup, or a whole one; a record tells of it, and
// the next one goes well.
func TestAStoreThatFailsAtEachCall(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	whole := backup.NewFolder(f.dir)
	full := fault.New(fault.Unavailable, "no_room", "There is no room.")
	good := 0
	for at := 1; ; at++ {
		s := &failing{Store: whole, at: at, how: full}
		f.keeper.Maker.Stores = []backup.Store{s}
		_, err := f.keeper.Create(t.Context(), backup.By{}, true, func(backup.Progress) {}, nil)
		if s.calls < at {
			break
		}
		if err == nil {
			t.Errorf("call %d failed and the backup did not", at)
		}
		list, err := backup.List(t.Context(), []backup.Store{whole}, f.keeper.Trust, f.install)
		if err != nil || len(list) != good {
			t.Fatalf("call %d: %+v %v", at, list, err)
		}
	}
	var st backup.Standing
	err := f.d.Read(t.Context(), func(tx *db.Tx) (err error) { st, err = backup.Stand(tx); return err })
	if err != nil || st.Failures != 0 || st.Good.IsZero() {
		t.Errorf("%+v %v", st, err)
	}
}

// What a process that died left behind goes once it is old, and nothing else does.
func TestLeftoversGo(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	made := f.create(t)
	old, young := secret.Random{}.ID(time.Now()), secret.Random{}.ID(time.Now())
	for _, path := range []string{
		f.path(old, "account-00001.zst.age"), f.path(old, ".unfinished-x"), f.path(young, "account-00001.zst.age"),
		filepath.Join(f.dir, "backup", f.install, "mine", "account-00001.zst.age"), f.path(old, "mine.txt"),
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(path, young) {
			past := time.Now().Add(-49 * time.Hour)
			if err := os.Chtimes(path, past, past); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.create(t)
	for path, stays := range map[string]bool{
		f.path(old, "account-00001.zst.age"): false, f.path(old, ".unfinished-x"): false, f.path(young, "account-00001.zst.age"): true,
		filepath.Join(f.dir, "backup", f.install, "mine", "account-00001.zst.age"): true, f.path(old, "mine.txt"): true,
		f.path(made.Manifest.ID, "account-00001.zst.age"): true,
	} {
		if _, err := os.Stat(path); (err == nil) != stays {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAFullDiskNamesTheFile(t *testing.T) {
	err := backup.NewFolder("/dev/full/x").Put(t.Context(), "a/b", []byte("x"))
	if err == nil {
		t.Error("a file lies in a device")
	}
	dir := t.TempDir()
	s := backup.NewFolder(dir)
	if err := s.Put(t.Context(), "a/b", []byte("x")); err != nil {
		t.Fatal(err)
	}
	// The answer was lost, and the same comes again; another does not.
	if err := s.Put(t.Context(), "a/b", []byte("x")); err != nil {
		t.Error(err)
	}
	if err := s.Put(t.Context(), "a/b", []byte("y")); err == nil {
		t.Error("a file was replaced")
	}
}
