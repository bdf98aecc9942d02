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
		keys, err := f.signPasskeysAnew(ctx, store)
		if err != nil {
			return err
		}
		apps, err := f.sealAppsAnew(ctx, store)
		if err != nil {
			return err
		}
		again = keys+apps > 0
	}
	return nil
}

// signPasskeysAnew signs the rows of genuine passkeys with the key in force, and returns how many another had signed.
func (f *Keys) signPasskeysAnew(ctx context.Context, store *factor.Store) (n int, err error) {
	for after, more := "", true; more; {
		var done int
		last := after
		err := f.DB.Write(ctx, func(tx *db.Tx) error {
			done, more = 0, false
			handles, until, err := account.Handles(tx, after, resealBatch)
			if err != nil || len(handles) == 0 {
				return err
			}
			last, more = until, len(handles) == resealBatch
			page, err := factor.PasskeysBetween(tx, after, until)
			if err != nil {
				return err
			}
			for _, p := range page {
				handle := handles[p.Account]
				if handle == nil || store.IsNewest(p, handle) || !store.Genuine(p, handle) {
					continue
				}
				ok, err := store.Resign(tx, p, handle)
				if err != nil {
					return err
				}
				if ok {
					done++
				}
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		n, after = n+done, last
	}
	return n, nil
}

// sealAppsAnew seals the secrets of apps under the key in force, and returns how many another had sealed.
func (f *Keys) sealAppsAnew(ctx context.Context, store *factor.Store) (n int, err error) {
	for after, more := "", true; more; {
		var done int
		last := after
		err := f.DB.Write(ctx, func(tx *db.Tx) error {
			done = 0
			page, err := factor.AppsAfter(tx, after, resealBatch)
			if err != nil {
				return err
			}
			if more = len(page) == resealBatch; len(page) > 0 {
				last = page[len(page)-1].Account
			}
			for _, app := range page {
				ok, err := store.SealAnew(tx, app)
				if err != nil {
					return err
				}
				if ok {
					done++
				}
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		n, after = n+done, last
	}
	return n, nil
}
