package operate

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
)

// HandedOver is an account with all that lets its owner sign in to another installation as they do here.
type HandedOver struct {
	account.Account
	MustReset bool
	// Finished is the hash of the password without the seal of this installation's pepper; empty where there is none.
	Finished string
	// Factors are nil where there are none. LeftOut is how many stay behind, since no key recognises them.
	Factors *factor.Moved
	LeftOut int
}

// HandOver returns up to limit accounts, in the order of their ids from the one after the given id on, and where that ended: last is empty
// at the end. Who is being erased is left out, and counted.
func (f *Operator) HandOver(ctx context.Context, with *factor.Store, after string, limit int) (list []HandedOver, leaving int, last string, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		list, leaving, last = nil, 0, ""
		page, err := account.List(tx, after, limit)
		if err != nil {
			return err
		}
		if len(page) == limit {
			last = page[limit-1].ID
		}
		for _, a := range page {
			h, stays, err := f.handOver(tx, with, a)
			if err != nil {
				return err
			}
			if stays {
				list = append(list, h)
			} else {
				leaving++
			}
		}
		return nil
	})
	return list, leaving, last, err
}

// HandOverOne returns one account, by its id or address.
func (f *Operator) HandOverOne(ctx context.Context, with *factor.Store, user string) (list []HandedOver, leaving int, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		list, leaving = nil, 0
		a, err := account.Find(tx, user)
		if err != nil {
			return err
		}
		h, stays, err := f.handOver(tx, with, a)
		if stays {
			list = append(list, h)
		} else {
			leaving++
		}
		return err
	})
	return list, leaving, err
}

// handOver reports as well whether the account stays: it does not if it is to be erased.
func (f *Operator) handOver(tx *db.Tx, with *factor.Store, a account.Account) (h HandedOver, stays bool, err error) {
	erasure, err := account.ErasureOf(tx, a.ID)
	if err != nil || !erasure.At.IsZero() {
		return h, false, err
	}
	c, err := account.CredentialsOf(tx, a.ID)
	if err != nil {
		return h, false, err
	}
	h = HandedOver{Account: a, MustReset: c.MustReset}
	if c.Hash != "" {
		if h.Finished, err = f.Accounts.Hasher.Finished(a.ID, c.Hash); err != nil {
			return h, false, err
		}
	}
	handle, err := account.HandleOf(tx, a.ID)
	if err != nil {
		return h, false, err
	}
	h.Factors, h.LeftOut, err = with.Take(tx, a.ID, handle)
	return h, true, err
}

// RecordHandOver records that so many accounts were handed over.
func (f *Operator) RecordHandOver(ctx context.Context, n int, from event.Origin) error {
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		f.Events.Append(tx, event.Event{
			Kind: event.AccountsExported, Outcome: event.Success, Origin: from, Detail: event.Detail{By: f.by(), Actor: f.actor(), Count: int64(n)},
		})
		return nil
	})
}
