package flow

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/account"
	"github.com/gatehouse-auth/gatehouse/internal/db"
	"github.com/gatehouse-auth/gatehouse/internal/event"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// repepperBatch is how many accounts are looked at in one transaction.
const repepperBatch = 500

// Repepper seals every stored hash under the pepper in force, or takes the
// sealing off if there is none, and returns how many it changed, or would change
// if it only looks. It needs nobody's password and disturbs nobody who signs in
// meanwhile. Whatever interrupts it, it can be run again.
func (f *Operator) Repepper(ctx context.Context, p *password.Pepper, look bool, from event.Origin, progress func(seen int)) (changed int, err error) {
	after, seen := "", 0
	for {
		var list []account.Stored
		err := f.DB.Read(ctx, func(tx *db.Tx) (err error) {
			list, err = account.Hashes(tx, after, repepperBatch)
			return err
		})
		if err != nil {
			return changed, err
		}
		n, err := f.repepper(ctx, p, list, look)
		if changed += n; err != nil {
			return changed, err
		}
		seen += len(list)
		progress(seen)
		if len(list) < repepperBatch {
			break
		}
		after = list[len(list)-1].ID
	}
	if look || changed == 0 {
		return changed, nil
	}
	return changed, f.DB.Write(ctx, func(tx *db.Tx) error {
		f.Events.Append(tx, event.Event{
			Kind: event.PepperRotated, Outcome: event.Success, Origin: from, Detail: event.Detail{By: operator, Count: int64(changed)},
		})
		return nil
	})
}

func (f *Operator) repepper(ctx context.Context, p *password.Pepper, list []account.Stored, look bool) (int, error) {
	resealed := map[account.Stored]string{}
	for _, s := range list {
		hash, changed, err := p.Reseal(s.ID, s.Hash)
		if err != nil {
			return 0, fmt.Errorf("account %s: %w", s.ID, err)
		}
		if changed {
			resealed[s] = hash
		}
	}
	if look || len(resealed) == 0 {
		return len(resealed), nil
	}
	return len(resealed), f.DB.Write(ctx, func(tx *db.Tx) error {
		for _, s := range list {
			if hash := resealed[s]; hash != "" {
				account.ReplaceHash(tx, s.ID, s.Hash, hash)
			}
		}
		return nil
	})
}
