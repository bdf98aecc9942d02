package backup_test

import (
	"bytes"
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

// The secrets of the clone.
const (
	cloneSecret = "the clone's own secret, which is long enough"
	cloneEvents = "the clone's own event key, which is long too"
)

// cloning is a restore that makes another installation.
func (f *fixture) cloning(t *testing.T, url string) *backup.Restore {
	t.Helper()
	s, err := backup.NewSigner(eventKey, f.install)
	if err != nil {
		t.Fatal(err)
	}
	r := f.restoring(url)
	r.Clone, r.Secret, r.EventKey, r.Trust = true, "", cloneEvents, backup.Trust{EventKey: cloneEvents, Verifier: s.Verifier}
	r.Fresh = func() (keyring.Config, error) {
		return keyring.Config{Secret: cloneSecret, Algorithm: keyring.EdDSA}, nil
	}
	return r
}

// A clone shares neither name, keys, ledger nor mailboxes with the installation that it is of, and leaves nothing beside the backups.
func TestDB4_ACloneIsAnotherInstallation(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, url string) {
		f := newFixture(t, url)
		l := f.withLedger(t)
		f.add(t, "gone", "off")
		m := f.create(t).Manifest
		f.happens(t, event.Event{Kind: event.AccountDisabled, Account: "off"})
		step(t, f, l)
		if err := l.Erased(t.Context(), "gone"); err != nil {
			t.Fatal(err)
		}
		key := one[[]byte](t, f.d, `SELECT ledger_key FROM install`)
		before := stored(t, f.dir)
		for name, target := range targets {
			t.Run(name, func(t *testing.T) {
				url := target(t)
				out, err := restore(t.Context(), f.cloning(t, url), f.install, m.ID)
				if err != nil {
					t.Fatal(err)
				}
				d := dbtest.Open(t, url)
				if id := one[string](t, d, `SELECT id FROM install`); id == f.install || backup.KnownID(id) != nil {
					t.Errorf("it is called %s", id)
				}
				if bytes.Equal(key, one[[]byte](t, d, `SELECT ledger_key FROM install`)) {
					t.Error("the ledger's key is the same")
				}
				if _, err := keyring.Open(t.Context(), d, secret.Random{}, time.Now(), keyring.Config{Secret: cloneSecret}); err != nil {
					t.Errorf("its own secret: %v", err)
				}
				if _, err := keyring.Open(t.Context(), d, secret.Random{}, time.Now(), keyring.Config{Secret: master}); err == nil {
					t.Error("the other's secret opens it")
				}
				accounts := one[int](t, d, `SELECT COUNT(*) FROM account`)
				for what, query := range map[string]string{
					"mails that are held":          `SELECT COUNT(*) FROM mail_hold`,
					"accounts":                     `SELECT COUNT(*) FROM account`,
					"accounts, but for runs":       `SELECT COUNT(*) - (SELECT COUNT(*) FROM backup_run) FROM account`,
					"accounts, but for the erased": `SELECT COUNT(*) - 1 + (SELECT COUNT(*) FROM account WHERE erase_why = 'erased_before') FROM account`,
				} {
					if n := one[int](t, d, query); n != accounts || n == 0 {
						t.Errorf("%s: %d of %d", what, n, accounts)
					}
				}
				if one[int](t, d, `SELECT COUNT(*) FROM account WHERE id = 'off' AND disabled_at IS NULL`) != 0 {
					t.Error("what was decided since is undone")
				}
				sealer := event.NewSealer(d, cloneEvents, time.Now)
				if c, err := sealer.Seal(t.Context()); err != nil || c.Note == "" {
					t.Errorf("its log is not its own: %v", err)
				}
				if r, err := event.Verify(t.Context(), d, event.VerifyOptions{}); err != nil || len(r.Findings) > 0 {
					t.Errorf("%+v %v", r.Findings, err)
				}
				if len(out.Log.Findings) > 0 {
					t.Errorf("%+v", out.Log.Findings)
				}
			})
		}
		if after := stored(t, f.dir); len(after) != len(before) {
			t.Errorf("beside the backups are %v, and were %v", after, before)
		}
	})
}

// stored are the files below a folder.
func stored(t *testing.T, dir string) (files []string) {
	t.Helper()
	for _, depth := range []string{"*", "*/*", "*/*/*", "*/*/*/*"} {
		found, err := filepath.Glob(filepath.Join(dir, depth))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	return files
}

// A clone with the keys of the other is none, and one that is broken off anywhere begins again.
func TestDB4_ACloneThatIsRefusedOrBrokenOff(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	f.withLedger(t)
	m := f.create(t).Manifest
	for code, change := range map[string]func(*backup.Restore){
		"clone_needs_keys":  func(r *backup.Restore) { r.EventKey = "" },
		"clone_shares_keys": func(r *backup.Restore) { r.EventKey = eventKey },
		"backup_not_ours":   func(r *backup.Restore) { r.Trust = backup.Trust{EventKey: cloneEvents} },
	} {
		r := f.cloning(t, targets["into sqlite"](t))
		change(r)
		if _, err := r.Read(t.Context(), f.install, m.ID); codeOf(err) != code {
			t.Errorf("%s: %v", code, err)
		}
	}
	url := dbtest.EmptyPostgres(t)
	for range 2 {
		r := f.cloning(t, url)
		r.After = append(r.After, func(*db.Tx, time.Time) error { return errDead })
		if _, err := restore(t.Context(), r, f.install, m.ID); err == nil {
			t.Fatal("nothing broke")
		}
	}
	if _, err := restore(t.Context(), f.cloning(t, url), f.install, m.ID); err != nil {
		t.Fatalf("again: %v", err)
	}
	if id := one[string](t, dbtest.Open(t, url), `SELECT id FROM install`); id == f.install {
		t.Error("it is the same installation")
	}
}
