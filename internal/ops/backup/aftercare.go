package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// errContents is for a database that does not have what was loaded.
var errContents = errors.New("the restored database does not have the rows that the manifest says")

// settle verifies what was loaded, and does in one transaction what makes it a database to be
// served: nobody is signed in, and no link works but those that take something back.
func (r *Restore) settle(ctx context.Context, l *db.Loading, d *db.DB, m *Manifest) (*Restored, error) {
	ctx = db.PastFence(ctx) // the backup may have been made while the installation was moved
	out := &Restored{Manifest: m, Timeline: newTimeline(r.Random)}
	var err error
	out.Log, err = event.Verify(ctx, d, event.VerifyOptions{
		Key: m.Needs.Verifier, Checkpoint: m.Log.Checkpoint,
		Progress: func(read, of int64) { r.Progress(Progress{"verifying the event log", read << 20, of << 20}) },
	})
	if err != nil {
		return nil, fmt.Errorf("verifying the event log: %w", err)
	}
	if err := r.count(ctx, d, m); err != nil {
		return nil, err
	}
	return out, r.renew(ctx, d, m, out, l.Unmark)
}

// renew begins a new history, in which nobody is signed in, and what was decided since is done again. end is the last thing in its
// transaction.
func (r *Restore) renew(ctx context.Context, d *db.DB, m *Manifest, out *Restored, end func(*db.Tx) error) (err error) {
	now := r.Now()
	if out.Epoch, err = r.epoch(ctx, m, now); err != nil {
		return err
	}
	change, err := r.prepare(ctx, d, out, now)
	if err != nil {
		return err
	}
	if err := r.begin(ctx, m, out.Timeline, out.Epoch); err != nil {
		return err
	}
	revoked := token.NewRevocations(d, 0, 0, r.Now)
	return d.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(`UPDATE install SET epoch = $1, timeline = $2, admin_at = COALESCE(admin_at, $3), fenced_at = 0, moved_to = '' WHERE one = 1`,
			out.Epoch, out.Timeline, db.Micros(now)); err != nil {
			return err
		}
		if err := change(tx, revoked); err != nil {
			return err
		}
		revoked.EndBefore(tx, time.Time{})
		var err error
		if out.Mails, err = notice.GiveUpAll(tx, now); err != nil {
			return err
		}
		for _, after := range r.After {
			if err := after(tx, now); err != nil {
				return err
			}
		}
		if err := r.record(tx, m, out, now); err != nil {
			return err
		}
		return end(tx)
	})
}

// prepare does what can be done before the last transaction, and done again: what was decided since, and new keys. It returns what
// puts the keys in force.
func (r *Restore) prepare(ctx context.Context, d *db.DB, out *Restored, now time.Time) (change func(*db.Tx, *token.Revocations) error, err error) {
	if r.Decided != nil && !r.Drill {
		if err := r.replay(ctx, d, r.Decided); err != nil {
			return nil, fmt.Errorf("doing again what was decided since: %w", err)
		}
		out.Again = r.Decided.Len()
	}
	if err := r.losePasswords(ctx, d, out, now); err != nil {
		return nil, err
	}
	if r.Clone {
		if err := r.rename(ctx, d, now); err != nil {
			return nil, err
		}
	}
	if r.Lost || r.Clone {
		out.Factors, err = r.afresh(ctx, d, now)
		return func(*db.Tx, *token.Revocations) error { return nil }, err
	}
	return r.keys(ctx, d, now)
}

// count holds the numbers of accounts and events against the manifest.
func (r *Restore) count(ctx context.Context, d *db.DB, m *Manifest) error {
	var accounts, events, size int64
	err := d.Read(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT (SELECT COUNT(*) FROM account), (SELECT COUNT(*) FROM event), (SELECT size FROM event_head WHERE one = 1)`).
			Scan(&accounts, &events, &size)
	})
	if err == nil && (accounts != m.Tables["account"].Rows || events != m.Tables["event"].Rows || size != m.Log.Size) {
		err = errContents
	}
	return err
}

// renewed are the purposes whose keys let somebody in, or what they hold is over: they are
// made anew, and the old ones are revoked. Access tokens are signed with such a key as well.
var renewed = []keyring.Purpose{keyring.AccessSign, keyring.RefreshDerive, keyring.CSRF, keyring.Ticket, keyring.Request, keyring.IDSign,
	keyring.IDSignES256}

// keys returns what makes the keys anew within the transaction.
func (r *Restore) keys(ctx context.Context, d *db.DB, now time.Time) (func(*db.Tx, *token.Revocations) error, error) {
	ring, err := keyring.Open(ctx, d, r.Random, now, keyring.Config{Secret: r.Secret})
	if f := fault.As(err); f != nil && f.Code == "wrong_secret" {
		return nil, fault.New(fault.Invalid, "wrong_secret", f.Message+" If that secret is lost, restore with --secret-lost: all keys are made anew then.")
	}
	if err != nil {
		return nil, err
	}
	fresh, err := ring.Generate("")
	if err == nil && len(ring.Keys(keyring.IDSign)) > 0 {
		fresh.IDSign, err = ring.GenerateIDSign()
	}
	if err != nil {
		return nil, err
	}
	return func(tx *db.Tx, revoked *token.Revocations) error {
		return ring.Change(tx, fresh, now, func(c *keyring.Change) error {
			var names []string
			for _, p := range renewed {
				for _, k := range c.Keys[p] {
					names = append(names, k.Name)
				}
			}
			gone, err := c.Revoke(names...)
			if err != nil {
				return err
			}
			for _, k := range gone {
				if k.Purpose == keyring.AccessSign {
					revoked.EndKey(tx, k.Name)
				}
			}
			// Tokens of before are recognised by the old one: they are outdated, not forged.
			return c.Supersede(keyring.RefreshMAC)
		})
	}, nil
}

// afresh makes all keys anew under another secret, and takes the passkeys as they are, which none of these recognises. The
// database is not served yet: what is killed on the way is done again.
func (r *Restore) afresh(ctx context.Context, d *db.DB, now time.Time) (n operate.Resealed, err error) {
	if err := d.Write(ctx, keyring.Forget); err != nil {
		return n, err
	}
	fresh, err := r.Fresh()
	if err != nil {
		return n, err
	}
	ring, err := keyring.Open(ctx, d, r.Random, now, fresh)
	if err != nil {
		return n, err
	}
	with := operate.Sealing{Since: now, Store: factor.NewStore(func() [][]byte { return [][]byte{ring.Key(keyring.Factor)} }, r.Random)}
	return (&operate.Reseal{DB: d, With: with, Now: r.Now}).Run(ctx, false, func(operate.Unrecognised) error { return nil })
}

// losePasswords has the owners of passwords that nothing opens set new ones. Done again it finds the rest.
func (r *Restore) losePasswords(ctx context.Context, d *db.DB, out *Restored, now time.Time) error {
	if r.Opens == nil {
		return nil
	}
	for after := ""; ; {
		lost := 0
		err := d.Write(ctx, func(tx *db.Tx) (err error) {
			after, lost, err = account.LosePasswords(tx, after, replayed, r.Opens, now)
			return err
		})
		if err != nil {
			return fmt.Errorf("the passwords that are lost: %w", err)
		}
		if out.Passwords += lost; after == "" {
			return nil
		}
		r.Progress(Progress{Step: "looking at passwords"})
	}
}

// record begins a new origin of the event log, with the restore as its first event.
func (r *Restore) record(tx *db.Tx, m *Manifest, out *Restored, now time.Time) error {
	if r.EventKey != "" {
		origins, err := event.LogOrigins(tx)
		if err != nil {
			return err
		}
		n := int64(1)
		if len(origins) > 0 {
			n = slices.MaxFunc(origins, func(a, b event.LogOrigin) int { return int(a.N - b.N) }).N + 1
		}
		if _, err := event.BeginOrigin(tx, n, r.EventKey, now); err != nil {
			return err
		}
	}
	detail := event.Detail{By: r.By.Who, Backup: m.ID, Checkpoint: m.Log.Checkpoint, Count: int64(out.Again)}
	if r.Decided != nil {
		detail.Until = r.Decided.Until
	}
	switch {
	case r.Clone:
		detail.Reason = "cloned"
	case m.ID == "":
		detail.Reason = "adopted"
	case len(out.Log.Findings) > 0:
		detail.Reason = "log_tampered_with"
	case r.Decided != nil && r.Decided.Gap != "":
		detail.Reason = "ledger_gap"
	case r.Trust.Unsigned:
		detail.Reason = "unsigned"
	}
	r.Events.Append(tx, event.Event{Kind: event.BackupRestored, Outcome: event.Success, Origin: r.By.Origin, Detail: detail})
	out.Factors.Record(tx, r.Events, r.By.Origin)
	if m.ID == "" || r.Clone {
		return nil
	}
	return Note(tx, Run{ID: r.Random.ID(now), Kind: Loaded, Backup: m.ID, Snapshot: m.Snapshot, Began: now, Ended: now, Bytes: m.Size()})
}
