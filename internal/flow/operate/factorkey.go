package operate

import (
	"context"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
)

// replaceFactorKey prepares the end of those of the named keys that second factors are protected with: it makes the next key,
// waits until every replica uses it, and makes anew what is good. Whatever interrupts it, it can be done again: then what is
// done is passed over. What a replica writes that stood still all the while, under the key that ends, is lost; the doctor
// names it (factor-rows).
func (f *Keys) replaceFactorKey(ctx context.Context, names []string) error {
	named := func(k keyring.Key) bool {
		return k.RevokedAt.IsZero() && (slices.Contains(names, k.Name) || slices.Contains(names, k.ID))
	}
	if !slices.ContainsFunc(f.Ring.Keys(keyring.Factor), named) {
		return nil
	}
	err := f.change(ctx, "", func(_ *db.Tx, c *keyring.Change) error {
		if keys := c.Keys[keyring.Factor]; named(keys[len(keys)-1]) {
			return c.Supersede(keyring.Factor)
		}
		return nil
	})
	if err != nil {
		return err
	}
	select {
	case <-time.After(keyring.Agree):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := f.DB.Read(ctx, f.Ring.Poll); err != nil {
		return err
	}
	store := factor.NewStore(f.Ring.Unrevoked(keyring.Factor), secret.Random{})
	for again := true; again; { // what was written while the rows before it were read is found by the next pass
		again = false
		for _, page := range []anew{signPasskeysAnew, sealAppsAnew} {
			n, err := f.anew(ctx, store, page)
			if err != nil {
				return err
			}
			again = again || n > 0
		}
	}
	return nil
}

// anew makes anew what the next accounts have, from the one after the given id on, by the key in force. It returns how much another key had
// made, the id of the last account, and whether there are more.
type anew func(tx *db.Tx, store *factor.Store, after string) (n int, last string, more bool, err error)

// anew does it with all accounts, a page in each transaction.
func (f *Keys) anew(ctx context.Context, store *factor.Store, page anew) (n int, err error) {
	for after, more := "", true; more; {
		var (
			done int
			last string
		)
		err := f.DB.Write(ctx, func(tx *db.Tx) (err error) {
			done, last, more, err = page(tx, store, after)
			return err
		})
		if err != nil {
			return n, err
		}
		n, after = n+done, last
	}
	return n, nil
}

// signPasskeysAnew signs the rows of genuine passkeys.
func signPasskeysAnew(tx *db.Tx, store *factor.Store, after string) (n int, last string, more bool, err error) {
	handles, last, err := account.Handles(tx, after, resealBatch)
	if err != nil || len(handles) == 0 {
		return 0, last, false, err
	}
	page, err := factor.PasskeysBetween(tx, after, last)
	if err != nil {
		return 0, last, false, err
	}
	for _, p := range page {
		handle := handles[p.Account]
		if handle == nil || store.IsNewest(p, handle) || !store.Genuine(p, handle) {
			continue
		}
		ok, err := store.Resign(tx, p, handle)
		if err != nil {
			return n, last, false, err
		}
		if ok {
			n++
		}
	}
	return n, last, len(handles) == resealBatch, nil
}

// sealAppsAnew seals the secrets of apps.
func sealAppsAnew(tx *db.Tx, store *factor.Store, after string) (n int, last string, more bool, err error) {
	page, err := factor.AppsAfter(tx, after, resealBatch)
	if err != nil {
		return 0, "", false, err
	}
	for _, app := range page {
		last = app.Account
		ok, err := store.SealAnew(tx, app)
		if err != nil {
			return n, last, false, err
		}
		if ok {
			n++
		}
	}
	return n, last, len(page) == resealBatch, nil
}
