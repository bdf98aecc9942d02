package operate

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// repepperBatch is how many accounts are looked at in one transaction.
const repepperBatch = 500

// kept is a stored hash, wherever it stands.
type kept struct{ id, account, hash string }

// hashes is a table that keeps some: those of a batch, and how one is replaced.
type hashes struct {
	read    func(tx *db.Tx, after string, limit int) ([]kept, error)
	replace func(tx *db.Tx, k kept, hash string)
}

// allHashes are the accounts', and those that an undo of a change of address asks the
// password of: of passwords that were replaced, and those that older undos keep.
var allHashes = []hashes{
	{
		func(tx *db.Tx, after string, limit int) (out []kept, err error) {
			list, err := account.Hashes(tx, after, limit)
			for _, s := range list {
				out = append(out, kept{s.ID, s.ID, s.Hash})
			}
			return out, err
		},
		func(tx *db.Tx, k kept, hash string) { account.ReplaceHash(tx, k.id, k.hash, hash) },
	},
	{
		func(tx *db.Tx, after string, limit int) (out []kept, err error) {
			list, err := ticket.KeptHashes(tx, after, limit)
			for _, s := range list {
				out = append(out, kept{s.ID, s.Account, s.Hash})
			}
			return out, err
		},
		func(tx *db.Tx, k kept, hash string) { ticket.ReplaceHash(tx, k.id, hash) },
	},
	{
		func(tx *db.Tx, after string, limit int) (out []kept, err error) {
			list, err := account.FormerHashes(tx, after, limit)
			for _, f := range list {
				out = append(out, kept{f.ID, f.Account, f.Hash})
			}
			return out, err
		},
		func(tx *db.Tx, k kept, hash string) { account.ReplaceFormer(tx, k.id, hash) },
	},
}

// Repepper seals every stored hash under the pepper in force, or takes the
// sealing off if there is none, and returns how many it changed, or would change
// if it only looks. It needs nobody's password and disturbs nobody who signs in
// meanwhile. Whatever interrupts it, it can be run again.
func (f *Operator) Repepper(ctx context.Context, p *password.Pepper, look bool, from event.Origin, progress func(seen int)) (changed int, err error) {
	seen := 0
	for _, table := range allHashes {
		after := ""
		for {
			var list []kept
			err := f.DB.Read(ctx, func(tx *db.Tx) (err error) {
				list, err = table.read(tx, after, repepperBatch)
				return err
			})
			if err != nil {
				return changed, err
			}
			n, err := f.repepper(ctx, p, table, list, look)
			if changed += n; err != nil {
				return changed, err
			}
			seen += len(list)
			progress(seen)
			if len(list) < repepperBatch {
				break
			}
			after = list[len(list)-1].id
		}
	}
	if look || changed == 0 {
		return changed, nil
	}
	return changed, f.DB.Write(ctx, func(tx *db.Tx) error {
		f.Events.Append(tx, event.Event{
			Kind: event.PepperRotated, Outcome: event.Success, Origin: from, Detail: event.Detail{By: flow.ByOperator, Count: int64(changed)},
		})
		return nil
	})
}

func (f *Operator) repepper(ctx context.Context, p *password.Pepper, table hashes, list []kept, look bool) (int, error) {
	resealed := map[kept]string{}
	for _, k := range list {
		hash, changed, err := p.Reseal(k.account, k.hash)
		if err != nil {
			return 0, fmt.Errorf("account %s: %w", k.account, err)
		}
		if changed {
			resealed[k] = hash
		}
	}
	if look || len(resealed) == 0 {
		return len(resealed), nil
	}
	return len(resealed), f.DB.Write(ctx, func(tx *db.Tx) error {
		for _, k := range list {
			if hash := resealed[k]; hash != "" {
				table.replace(tx, k, hash)
			}
		}
		return nil
	})
}
