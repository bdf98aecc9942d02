package backup_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

// withLedger gives a fixture's backups a ledger.
func (f *fixture) withLedger(t *testing.T) *backup.Ledger {
	t.Helper()
	sealer := event.NewSealer(f.d, eventKey, time.Now)
	f.keeper.Maker.Ledger = &backup.Ledger{
		DB: f.d, Events: f.keeper.Events, Stores: f.keeper.Maker.Stores, Recipients: f.keeper.Maker.Recipients, EventKey: eventKey, Now: time.Now,
		Seal: func(ctx context.Context) error { _, err := sealer.Seal(ctx); return err },
	}
	return f.keeper.Maker.Ledger
}

// in is the fixture in another database, with a ledger that it begins there.
func (f *fixture) in(t *testing.T, d *db.DB) *fixture {
	t.Helper()
	g, keeper := *f, *f.keeper
	keeper.DB, keeper.Maker.DB, g.d, g.keeper = d, d, d, &keeper
	l := g.withLedger(t)
	step(t, &g, l) // it begins
	return &g
}

// happens writes an event, with what it tells of.
func (f *fixture) happens(t *testing.T, e event.Event, and ...string) {
	t.Helper()
	e.Outcome = event.Success
	err := f.d.Write(t.Context(), func(tx *db.Tx) error {
		for _, q := range and {
			if _, err := tx.Exec(q); err != nil {
				return err
			}
		}
		f.keeper.Events.Append(tx, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) add(t *testing.T, ids ...string) {
	t.Helper()
	err := f.d.Write(t.Context(), func(tx *db.Tx) error {
		for _, id := range ids {
			_, err := tx.Exec(`INSERT INTO account (id, email, email_key, name, locale, roles, hash, created_at, verified_at)
				VALUES ($1, $1 || '@example.org', $1 || '@example.org', '', 'en', '["admin","editor"]', 'h', 1, NULL)`, id)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// step has the ledger follow the log to its end.
func step(t *testing.T, f *fixture, l *backup.Ledger) {
	t.Helper()
	f.seal(t)
	if _, err := l.Flush(t.Context(), 0, 0); err != nil {
		t.Fatal(err)
	}
}

// restored restores a backup into a new SQLite file and opens it.
func (f *fixture) restored(t *testing.T, id string) *db.DB {
	t.Helper()
	url := targets["into sqlite"](t)
	if _, err := restore(t.Context(), f.restoring(url), f.install, id); err != nil {
		t.Fatal(err)
	}
	return dbtest.Open(t, url)
}

// Whatever took something away after the backup is taken away again by the restore, in either database; and nothing is given.
func TestDB4_WhatARestoreMustNotUndo(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, url string) {
		f := newFixture(t, url)
		l := f.withLedger(t)
		f.add(t, "password", "factor", "address", "roles", "disabled", "enabled", "consent", "app", "erased", "untouched", "off", "linked", "unnamed")
		f.happens(t, event.Event{Kind: event.Login, Account: "untouched"},
			`UPDATE account SET disabled_at = 5 WHERE id IN ('enabled', 'off')`,
			`INSERT INTO consent (id, account_id, document, version, hash, language, how, given_at) 
				SELECT 'k', 'consent', 'offers', 1, hash, 'en', 'account', 1 FROM client WHERE id = 'c'`,
			`INSERT INTO client_consent (account_id, client_id, scope, given_at) VALUES ('app', 'c', 'openid', 1)`,
			`INSERT INTO identity (provider, subject, account_id, email, linked_at, used_at) VALUES ('https://p', 'thief', 'linked', '', 1, 1),
				('https://p', 'owner', 'linked', '', 1, 1), ('https://p', 'any', 'unnamed', '', 1, 1)`,
			`INSERT INTO client (id, name, hash, old_until, created_at, rotated_at) 
				SELECT 'gone', 'gone', hash, 0, 1, 1 FROM client WHERE id = 'c'`,
			`INSERT INTO client (id, name, hash, old_until, created_at, rotated_at) 
				SELECT 'new-secret', 'new', hash, 0, 1, 1 FROM client WHERE id = 'c'`)
		made := f.create(t)
		if made.Manifest.Ledger.Until < made.Manifest.Log.Size {
			t.Errorf("the ledger reaches %d, and the backup %d", made.Manifest.Ledger.Until, made.Manifest.Log.Size)
		}
		for _, e := range []event.Event{
			{Kind: event.PasswordChange, Account: "password"}, {Kind: event.FactorRemoved, Account: "factor"},
			{Kind: event.EmailChange, Account: "address", Detail: event.Detail{Reason: "done"}},
			{Kind: event.EmailChange, Account: "untouched", Detail: event.Detail{Reason: "asked"}},
			{Kind: event.RoleChange, Account: "roles", Detail: event.Detail{Roles: []string{}}},
			{Kind: event.RoleChange, Account: "roles", Detail: event.Detail{Roles: []string{"editor", "owner"}}},
			{Kind: event.AccountEnabled, Account: "disabled"}, {Kind: event.AccountDisabled, Account: "disabled"},
			{Kind: event.AccountDisabled, Account: "enabled"}, {Kind: event.AccountEnabled, Account: "enabled"},
			{Kind: event.ConsentChange, Account: "consent", Detail: event.Detail{Reason: "withdrawn", Document: "offers"}},
			{Kind: event.GrantEnded, Account: "app", Detail: event.Detail{Reason: "withdrawn", Client: "c"}},
			{Kind: event.ClientChanged, Detail: event.Detail{Client: "c"}}, {Kind: event.ClientDeleted, Detail: event.Detail{Client: "gone"}},
			{Kind: event.ClientRotated, Detail: event.Detail{Client: "new-secret"}},
			{Kind: event.AddressBlocked, Detail: event.Detail{Network: "203.0.113.0/24"}},
			{Kind: event.AddressBlocked, Detail: event.Detail{Count: 2, Networks: []string{"198.51.100.7/32", "2001:db8::/48"}}},
			{Kind: event.IdentityUnlinked, Account: "linked", Detail: event.Detail{Identity: upstream.Identity{Issuer: "https://p", Subject: "thief"}.Handle()}},
			{Kind: event.IdentityUnlinked, Account: "unnamed", Detail: event.Detail{Provider: "p"}},
			{Kind: event.PasswordReset, Account: "untouched"}, {Kind: event.PasswordChange, Account: "made since"},
		} {
			f.happens(t, e)
		}
		step(t, f, l)
		if err := l.Erased(t.Context(), "erased"); err != nil {
			t.Fatal(err)
		}
		for name, target := range targets {
			t.Run(name, func(t *testing.T) {
				url := target(t)
				r := f.restoring(url)
				r.After = append(r.After, func(tx *db.Tx, now time.Time) error { return account.PostponeErasures(tx, now.Add(14*24*time.Hour)) })
				out, err := restore(t.Context(), r, f.install, made.Manifest.ID)
				if err != nil {
					t.Fatal(err)
				}
				if out.Again == 0 {
					t.Error("nothing was done again")
				}
				d := dbtest.Open(t, url)
				for what, query := range map[string]string{
					"reset":                   `SELECT COUNT(*) FROM account WHERE id IN ('password', 'factor', 'address') AND reset_at IS NOT NULL`,
					"others are not":          `SELECT 3 * COUNT(*) FROM account WHERE id = 'untouched' AND reset_at IS NULL AND disabled_at IS NULL`,
					"held":                    `SELECT 3 * COUNT(*) FROM mail_hold WHERE account_id = 'address'`,
					"roles that both have":    `SELECT 3 * COUNT(*) FROM account WHERE id = 'roles' AND roles = '["editor"]'`,
					"disabled":                `SELECT 3 * COUNT(*) FROM account WHERE id = 'disabled' AND disabled_at IS NOT NULL`,
					"enabled at last":         `SELECT 3 * COUNT(*) FROM account WHERE id = 'enabled' AND disabled_at IS NULL`,
					"nobody else is enabled":  `SELECT 3 * COUNT(*) FROM account WHERE id = 'off' AND disabled_at IS NOT NULL`,
					"consent":                 `SELECT 3 * COUNT(*) FROM consent WHERE account_id = 'consent' AND withdrawn_at IS NOT NULL`,
					"the application's":       `SELECT 3 - COUNT(*) FROM client_consent WHERE account_id = 'app'`,
					"what was changed is off": `SELECT 3 * COUNT(*) FROM client WHERE id = 'c' AND disabled_at IS NOT NULL`,
					"what was deleted":        `SELECT 3 - COUNT(*) FROM client WHERE id = 'gone'`,
					"another secret":          `SELECT 3 * COUNT(*) FROM client WHERE id = 'new-secret' AND LENGTH(hash) = 32`,
					"of a file":               `SELECT 1 + COUNT(*) FROM block WHERE network IN ('198.51.100.7/32', '2001:db8::/48') AND removed_at IS NULL`,
					"the thief's identity":    `SELECT 3 - COUNT(*) FROM identity WHERE subject IN ('thief', 'any')`,
					"the owner's identity":    `SELECT 3 * COUNT(*) FROM identity WHERE subject = 'owner'`,
					"blocked":                 `SELECT 3 * COUNT(*) FROM block WHERE network = '203.0.113.0/24' AND removed_at IS NULL`,
					"erased at once": `SELECT 3 * COUNT(*) FROM account WHERE id = 'erased' AND disabled_at IS NOT NULL AND erase_why = 'erased_before'
						AND erase_at < (SELECT MAX(time) + 86400000000 FROM event)`,
					"nobody else is": `SELECT 3 - COUNT(*) FROM account WHERE erase_at IS NOT NULL AND id <> 'erased'`,
				} {
					if n := one[int](t, d, query); n != 3 {
						t.Errorf("%s: %d", what, n)
					}
				}
			})
		}
	})
}

// What the snapshot had is covered by its own history's ledger, sealed or not: an older backup that is restored later needs it,
// and the history that a restore begins has other leaves of the same numbers.
func TestDB4_TheLedgerOfEachHistory(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	l := f.withLedger(t)
	f.add(t, "thief", "later")
	old := f.create(t).Manifest
	for range 10 {
		f.happens(t, event.Event{Kind: event.Login, Account: "thief"})
	}
	f.seal(t)
	f.happens(t, event.Event{Kind: event.AccountDisabled, Account: "thief"}, `UPDATE account SET disabled_at = 7 WHERE id = 'thief'`)
	young := f.create(t).Manifest // not sealed when it begins, and nobody steps
	if young.Ledger.Until <= old.Ledger.Until {
		t.Errorf("%d after %d", young.Ledger.Until, old.Ledger.Until)
	}
	f.happens(t, event.Event{Kind: event.RoleChange, Account: "later", Detail: event.Detail{Roles: []string{}}}) // the dead end
	step(t, f, l)
	again := f.restored(t, young.ID)
	if one[int](t, again, `SELECT COUNT(*) FROM account WHERE id = 'thief' AND disabled_at IS NOT NULL`) != 1 {
		t.Error("who was disabled in the backup is not")
	}
	if one[string](t, again, `SELECT roles FROM account WHERE id = 'later'`) != "[]" {
		t.Error("what the dead end took away is back")
	}
	// The new history takes something away too, at leaves that the old one has as well.
	g := f.in(t, again)
	g.happens(t, event.Event{Kind: event.PasswordChange, Account: "a1"})
	step(t, g, g.keeper.Maker.Ledger)
	g.happens(t, event.Event{Kind: event.AddressBlocked, Detail: event.Detail{Network: "198.51.100.0/24"}})
	step(t, g, g.keeper.Maker.Ledger)
	// A third, from the oldest backup, whose leaves begin before those of the younger one: they count for that as well.
	third := f.in(t, f.restored(t, old.ID))
	third.happens(t, event.Event{Kind: event.AddressBlocked, Detail: event.Detail{Network: "192.0.2.0/24"}})
	step(t, third, third.keeper.Maker.Ledger)
	r := f.restoring(targets["into sqlite"](t))
	r.Abandoned = true
	if _, err := r.Read(t.Context(), f.install, young.ID); err != nil || !r.Decided.Blocks("192.0.2.0/24") {
		t.Errorf("of a history that began earlier: %v", err)
	}
	last := f.restored(t, old.ID)
	for what, query := range map[string]string{
		"of its own history":    `SELECT COUNT(*) FROM account WHERE id = 'thief' AND disabled_at IS NOT NULL`,
		"of the dead end":       `SELECT COUNT(*) FROM account WHERE id = 'later' AND roles = '[]'`,
		"of the later history":  `SELECT COUNT(*) FROM block WHERE network = '198.51.100.0/24'`,
		"of none: who is other": `SELECT COUNT(*) FROM account WHERE id = 'later' AND disabled_at IS NULL`,
	} {
		if one[int](t, last, query) != 1 {
			t.Errorf("%s: undone", what)
		}
	}
}

// The ledger's files as somebody left them who can write to the store.
func TestDB4_TamperingWithTheLedger(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	l := f.withLedger(t)
	made := f.create(t).Manifest
	if err := l.Erased(t.Context(), "a1"); err != nil {
		t.Fatal(err)
	}
	f.happens(t, event.Event{Kind: event.AccountDeleted, Detail: event.Detail{Reason: "self"}})
	for i := range 3 {
		f.happens(t, event.Event{Kind: event.PasswordChange, Account: fmt.Sprint("a", i)})
		step(t, f, l)
	}
	var files []string
	err := filepath.WalkDir(filepath.Join(f.dir, "ledger"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) != 4 {
		t.Fatalf("%v %v", files, err)
	}
	read := func() error {
		_, err := f.restoring(targets["into sqlite"](t)).Read(t.Context(), f.install, made.ID)
		return err
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	// Which are of the leaves since the backup; files of before are not needed, and none is the last.
	for _, path := range files {
		whole, err := os.ReadFile(path) //nolint:gosec // the test's
		if err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func() error{
			"cut":     func() error { return os.WriteFile(path, whole[:len(whole)-1], 0o600) },                                 //nolint:gosec // the test's
			"flipped": func() error { b := append([]byte{}, whole...); b[len(b)-1] ^= 1; return os.WriteFile(path, b, 0o600) }, //nolint:gosec // the test's
			"forged":  func() error { return forge(path, f.install, f.id.Recipient()) },
			"another's": func() error {
				other := files[0]
				if other == path {
					other = files[1]
				}
				b, err := os.ReadFile(other) //nolint:gosec // the test's
				return errors.Join(err, os.WriteFile(path, b, 0o600))
			},
		} {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			if err := read(); codeOf(err) != "ledger_gap" {
				t.Errorf("%s %s: %v", filepath.Base(path), name, err)
			}
		}
		if err := forge(path, f.install, stranger.Recipient()); err != nil {
			t.Fatal(err)
		}
		if err := read(); codeOf(err) != "no_identity" {
			t.Errorf("for another key: %v", err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := read(); err == nil && path != files[2] { // behind the last there is none that tells of it
			t.Errorf("%s: nobody misses it", filepath.Base(path))
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil { //nolint:gosec // the test's
			t.Fatal(err)
		}
	}
	// Without its newest part, and without all of it, but for what the manifest vouches for.
	if err := os.RemoveAll(filepath.Join(f.dir, "ledger")); err != nil {
		t.Fatal(err)
	}
	if made.Ledger.Until > made.Log.Size {
		if err := read(); codeOf(err) != "ledger_gap" {
			t.Errorf("without a ledger: %v", err)
		}
	}
	r := f.restoring(targets["into sqlite"](t))
	r.AcceptLost = true
	if _, err := restore(t.Context(), r, f.install, made.ID); err != nil {
		t.Errorf("accepted: %v", err)
	}
}

// forge writes what anybody can encrypt who knows the names of the files: that nothing was decided.
func forge(path, install string, to age.Recipient) error {
	history, file := filepath.Base(filepath.Dir(path)), filepath.Base(path)
	text := fmt.Sprintf(`{"format":1,"install":"%s","account":"%.64s","at":"2026-11-30T00:00:00Z"}`, install, file)
	if epoch, timeline, ok := strings.Cut(history, "-"); ok {
		from, _ := strconv.Atoi(file[:12])
		until, _ := strconv.Atoi(file[13:25])
		text = fmt.Sprintf(`{"format":1,"install":"%s","timeline":"%s","epoch":%s,"from":%d,"until":%d,"at":"2026-11-30T00:00:00Z","entries":[]}`,
			install, timeline, epoch, from, until)
	}
	out, err := os.Create(path) //nolint:gosec // the test's
	if err != nil {
		return err
	}
	w, err := age.Encrypt(out, to)
	if err == nil {
		_, err = w.Write([]byte(text + "\n\n— x AAAA\n"))
	}
	return errors.Join(err, w.Close(), out.Close())
}

// A store that is away: nothing is lost, and what is written when it is back joins. Only an entry is written at once.
func TestDB4_TheLedgerWaitsForAStore(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	l := f.withLedger(t)
	made := f.create(t).Manifest
	away := &failing{Store: f.keeper.Maker.Stores[0], at: 1, how: errors.New("away")}
	l.Stores = []backup.Store{away}
	f.happens(t, event.Event{Kind: event.AccountDisabled, Account: "a1"})
	f.seal(t)
	if err := l.Step(t.Context()); err == nil {
		t.Fatal("it was written to a store that is away")
	}
	if err := l.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	reached := one[int64](t, f.d, `SELECT MAX(leaf) FROM ledger_reach`)
	f.happens(t, event.Event{Kind: event.Login, Account: "a1"})
	f.seal(t)
	if err := l.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := one[int64](t, f.d, `SELECT MAX(leaf) FROM ledger_reach`); now != reached {
		t.Errorf("a sign-in is written at once: %d after %d", now, reached)
	}
	behind := func(now time.Time) (lag time.Duration) {
		if err := f.d.Read(t.Context(), func(tx *db.Tx) (err error) { lag, err = backup.Behind(tx, now); return err }); err != nil {
			t.Fatal(err)
		}
		return lag
	}
	if lag := behind(time.Now().Add(backup.LedgerLate)); lag < backup.LedgerLate-time.Minute || lag > backup.LedgerLate+time.Minute {
		t.Errorf("behind since %s", lag)
	}
	l.Now = func() time.Time { return time.Now().Add(2 * time.Minute) }
	if err := l.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := one[int64](t, f.d, `SELECT MAX(leaf) FROM ledger_reach`); now != reached+1 {
		t.Errorf("and not after a minute: %d after %d", now, reached)
	}
	if lag := behind(time.Now().Add(time.Hour)); lag != 0 {
		t.Errorf("behind since %s although it has all", lag)
	}
	r := f.restoring(targets["into sqlite"](t))
	if _, err := r.Read(t.Context(), f.install, made.ID); err != nil || r.Decided.Len() != 1 {
		t.Errorf("%+v %v", r.Decided, err)
	}
}

// Segments of a day that is over become one, and what no backup needs goes; a restore finds the same as before.
func TestDB4_TheLedgerIsTidiedUp(t *testing.T) {
	f := newFixture(t, dbtest.SQLite(t))
	l := f.withLedger(t)
	made := f.create(t).Manifest
	for i := range 4 {
		f.happens(t, event.Event{Kind: event.PasswordChange, Account: fmt.Sprint("a", i)})
		step(t, f, l)
	}
	count := func() (n int) {
		list, err := f.keeper.Maker.Stores[0].List(t.Context(), "ledger/"+f.install+"/")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	decided := func() int {
		r := f.restoring(targets["into sqlite"](t))
		if _, err := r.Read(t.Context(), f.install, made.ID); err != nil {
			t.Fatal(err)
		}
		return r.Decided.Len()
	}
	before, had := count(), decided()
	l.Now = func() time.Time { return time.Now().Add(24 * time.Hour) }
	for range 2 {
		if err := l.Tidy(t.Context(), made); err != nil {
			t.Fatal(err)
		}
		if n := count(); n != 1 || before < 4 {
			t.Errorf("%d files of %d", n, before)
		}
		if n := decided(); n != had || n != 4 {
			t.Errorf("%d decisions of %d", n, had)
		}
	}
	later := *made
	later.Log.Size = 1 << 40
	if err := l.Tidy(t.Context(), &later); err != nil || count() != 0 {
		t.Errorf("%d files are left, %v", count(), err)
	}
}
