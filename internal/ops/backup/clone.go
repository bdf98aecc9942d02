package backup

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// A clone is another installation with the people of one: to try a version, or to look for a mistake. It shares nothing with the one that
// serves: not its name, so that backups, ledger and event log are its own; not its keys, so that no token of one is good at the other;
// and no mail of it reaches anybody who has not been told to expect one.

// strange refuses to make a clone with the keys of the installation that it is of.
func (r *Restore) strange(m *Manifest) error {
	if !r.Clone {
		return nil
	}
	if r.EventKey == "" {
		return fault.New(fault.Invalid, "clone_needs_keys", "A clone signs its own event log: set EVENT_KEY to another than that of the installation it is of.")
	}
	s, err := event.NewSigner(r.EventKey, m.Log.Origin)
	if err != nil {
		return fmt.Errorf("EVENT_KEY: %w", err)
	}
	if s.Verifier() == m.Needs.Verifier {
		return fault.New(fault.Invalid, "clone_shares_keys",
			"EVENT_KEY is that of the installation that the backup is of. A clone has one of its own: name the public key that signed the backup with --verifier. "+
				"Nothing was touched.")
	}
	return nil
}

// rename makes the database another installation's. Done again it is renamed again, which nobody has seen before.
func (r *Restore) rename(ctx context.Context, d *db.DB, now time.Time) error {
	return d.Write(ctx, func(tx *db.Tx) error {
		// Under another ledger key the erased of one are not recognised by the other.
		tx.Defer(`UPDATE install SET id = $1, ledger_key = $2 WHERE one = 1`, r.Random.ID(now), r.Random.Bytes(32))
		tx.Defer(`DELETE FROM backup_run`) // they tell of backups that this one does not have
		tx.Defer(`DELETE FROM ledger_reach`)
		tx.Defer(`DELETE FROM acme_secret`)
		tx.Defer(`DELETE FROM acme_try`)
		return notice.HoldAll(tx, now)
	})
}
