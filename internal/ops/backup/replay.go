package backup

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/block"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
)

// replayed is how many decisions one transaction does again, or how many accounts it looks at.
const replayed = 200

// replay does again what the ledger says, in a database that is not served yet: what is killed on the way is done again, and
// ends the same. It only takes away.
func (r *Restore) replay(ctx context.Context, d *db.DB, all *Decisions) error {
	now := r.Now()
	list := all.last()
	for from := 0; from < len(list); from += replayed {
		batch := list[from:min(from+replayed, len(list))]
		err := d.Write(ctx, func(tx *db.Tx) error {
			for _, e := range batch {
				if err := r.again(tx, e, now); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		r.Progress(Progress{"doing again what was decided since", int64(from+len(batch)) << 20, int64(len(list)) << 20})
	}
	if len(all.erased) == 0 {
		return nil
	}
	return r.eraseAgain(ctx, d, all, now)
}

// last returns the entries without those that a later one of the same kind has overtaken: of roles, and of disabled and
// enabled, the last one counts.
func (d *Decisions) last() []entry {
	type key struct{ kind, account string }
	seen := map[key]bool{}
	var out []entry
	for _, e := range slices.Backward(d.entries) {
		kind := string(e.What)
		switch e.What {
		case accountDisabled, accountEnabled:
			kind = "state"
		case rolesChanged, passwordChanged, factorChanged, addressChanged:
		default:
			kind += " " + e.Of + strings.Join(e.Networks, " ")
		}
		if k := (key{kind, e.Account}); !seen[k] {
			seen[k] = true
			out = append(out, e)
		}
	}
	slices.Reverse(out)
	return out
}

// again does one of them again. What is no longer there needs none.
func (r *Restore) again(tx *db.Tx, e entry, now time.Time) error {
	switch e.What {
	case passwordChanged, factorChanged, addressChanged:
		if e.What == addressChanged {
			if err := notice.Hold(tx, e.Account, now); err != nil {
				return err
			}
		}
		n, err := account.PasswordN(tx, e.Account)
		if err == nil {
			_, _, err = account.DemandReset(tx, e.Account, n, now)
		}
		return unless(err, account.ErrNotFound)
	case rolesChanged:
		return loseRoles(tx, e)
	case accountDisabled, accountEnabled:
		_, err := account.SetDisabled(tx, e.Account, e.What == accountDisabled, now)
		return unless(err, account.ErrNotFound)
	case consentWithdrawn:
		_, err := consent.Withdraw(tx, e.Account, e.Of, now)
		return err
	case agreementWithdrawn:
		_, err := grant.Withdraw(tx, e.Account, e.Of)
		return err
	case identityUnlinked:
		return unlinkAgain(tx, e)
	case clientChanged:
		return unless(client.Disable(tx, e.Of, now), client.ErrNotFound)
	case clientRotated:
		// The new secret is told to nobody: the application has none until it is rotated.
		_, err := client.Rotate(tx, r.Random, e.Of, time.Time{}, now)
		if errors.Is(err, client.ErrHasKeys) {
			err = client.Disable(tx, e.Of, now)
		}
		return unless(err, client.ErrNotFound)
	case clientDeleted:
		return unless(client.Delete(tx, e.Of), client.ErrNotFound)
	case networkBlocked:
		return r.blockAgain(tx, e, now)
	}
	return malformed("the ledger has something that this version does not know: " + clip(string(e.What)))
}

func unless(err, this error) error {
	if errors.Is(err, this) {
		return nil
	}
	return err
}

// loseRoles leaves an account the roles that it has both in the backup and in the ledger.
func loseRoles(tx *db.Tx, e entry) error {
	a, err := account.ByID(tx, e.Account)
	if errors.Is(err, account.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	both := slices.DeleteFunc(slices.Clone(a.Roles), func(role string) bool { return !slices.Contains(e.Roles, role) })
	if len(both) == len(a.Roles) {
		return nil
	}
	_, err = account.SetRoles(tx, e.Account, both)
	return err
}

// restoredReason is the reason of a block that the ledger has brought back.
const restoredReason = "blocked after the backup that was restored"

func (r *Restore) blockAgain(tx *db.Tx, e entry, now time.Time) error {
	networks := e.Networks
	if e.Of != "" {
		networks = []string{e.Of}
	}
	n, err := block.Turn(tx)
	if err != nil {
		return err
	}
	for _, text := range networks {
		network, err := block.ParseNetwork(text)
		if err != nil {
			return err
		}
		if _, err := block.Find(tx, text, now); err == nil {
			continue
		} else if !errors.Is(err, block.ErrUnknown) {
			return err
		}
		if _, _, err := block.Add(tx, r.Random, n, block.Block{Network: network, Reason: restoredReason}, now); err != nil {
			return err
		}
	}
	return nil
}

// unlinkAgain takes an account at another provider from somebody's account. One that was told of without its name may be any: all go, and
// who has no other way in sets a password by mail.
func unlinkAgain(tx *db.Tx, e entry) error {
	list, err := upstream.Of(tx, e.Account)
	if err != nil {
		return err
	}
	for _, i := range list {
		if e.Of != "" && i.Handle() != e.Of {
			continue
		}
		if _, err := upstream.Unlink(tx, i); err != nil {
			return err
		}
	}
	return nil
}

// eraseAgain disables every account that was erased since, and has the server erase it once more as soon as it starts, as
// every account is: with what it says in the log, and a sealed statement of that.
func (r *Restore) eraseAgain(ctx context.Context, d *db.DB, all *Decisions, now time.Time) error {
	var h history
	if err := d.Read(ctx, func(tx *db.Tx) (err error) { h, err = readHistory(tx); return err }); err != nil {
		return err
	}
	for after := ""; ; {
		var page []account.Account
		if err := d.Read(ctx, func(tx *db.Tx) (err error) { page, err = account.List(tx, after, 1000); return err }); err != nil {
			return err
		}
		for _, a := range page {
			if after = a.ID; !all.erased[nameless(h.key, a.ID)] {
				continue
			}
			err := d.Write(ctx, func(tx *db.Tx) error {
				if err := eraseUndos(tx, a.ID); err != nil { // they would keep it
					return err
				}
				return account.EraseAgain(tx, a.ID, now)
			})
			if err != nil {
				return err
			}
		}
		if len(page) < 1000 {
			return nil
		}
	}
}

// eraseUndos deletes the links that take changes back: a restore loads no other tickets.
func eraseUndos(tx *db.Tx, id string) error {
	_, err := ticket.Erase(tx, id, 1000)
	return err
}
