package operate

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// resealBatch is how many accounts are looked at in one transaction.
const resealBatch = 200

// Unrecognised is a factor that no key of the ring recognises: it was made under a JWT_SECRET_KEY that is lost, or
// somebody has written to the database.
type Unrecognised struct {
	Account, Email string
	Kind           factor.Kind
	// Name and Host are a passkey's.
	Name, Host string
	MadeAt     time.Time
	// Altered says that it was made when the ring's key was there already, so that no loss explains it. It is left as it is.
	Altered bool
}

// Resealed is how many factors were taken as they are, or would be if it was only looked.
type Resealed struct {
	// Passkeys are signed anew, Apps suspended, since their secrets are gone.
	Passkeys, Apps int
	// Altered are passkeys that were left as they are; Genuine those that a key recognises.
	Altered, Genuine int
}

// Sealing is what factors are sealed with.
type Sealing struct {
	*factor.Store
	// Since is when the oldest of its keys was made.
	Since time.Time
}

// ResealFactors is [Reseal.Run] with an event.
func (f *Operator) ResealFactors(ctx context.Context, look bool, from event.Origin, tell func(Unrecognised) error) (n Resealed, err error) {
	with, err := f.Sealing(ctx)
	if err != nil {
		return n, err
	}
	n, err = (&Reseal{f.DB, with, f.Now}).Run(ctx, look, tell)
	if look {
		return n, err
	}
	return n, errors.Join(err, f.DB.Write(ctx, func(tx *db.Tx) error {
		n.Record(tx, f.Events, from)
		return nil
	}))
}

// Record records what was done, if anything was.
func (n Resealed) Record(tx *db.Tx, log *event.Log, from event.Origin) {
	for _, done := range []struct {
		kind  factor.Kind
		count int
	}{{factor.Key, n.Passkeys}, {factor.App, n.Apps}} {
		if done.count > 0 {
			log.Append(tx, event.Event{
				Kind: event.FactorsResealed, Outcome: event.Success, Origin: from,
				Detail: event.Detail{By: flow.ByOperator, Factor: string(done.kind), Count: int64(done.count)},
			})
		}
	}
}

// Reseal takes factors as they are, for the command of that name and for a restore whose JWT_SECRET_KEY is lost.
type Reseal struct {
	DB   *db.DB
	With Sealing
	Now  func() time.Time
}

// Run takes passkeys that no key recognises as they are, and suspends apps whose secrets no key opens, or only
// looks. It hands each to tell before it touches it. Whatever interrupts it, it can be run again. What it can't do is to tell a
// passkey of its owner's from one that somebody has written into the database: both are good afterwards.
func (f *Reseal) Run(ctx context.Context, look bool, tell func(Unrecognised) error) (n Resealed, err error) {
	if err := f.passkeys(ctx, look, &n, tell); err != nil {
		return n, err
	}
	return n, f.apps(ctx, look, &n, tell)
}

// foreignKey is a passkey that no key recognises, with its account's handle.
type foreignKey struct {
	factor.Passkey
	handle []byte
	shown  Unrecognised
}

func (f *Reseal) passkeys(ctx context.Context, look bool, n *Resealed, tell func(Unrecognised) error) error {
	for after, more := "", true; more; {
		var list []foreignKey
		err := f.DB.Read(ctx, func(tx *db.Tx) (err error) {
			list, after, more, err = f.foreignKeys(tx, after, n)
			return err
		})
		if err != nil {
			return err
		}
		take := make([]foreignKey, 0, len(list))
		for _, k := range list {
			if err := tell(k.shown); err != nil {
				return err
			}
			if k.shown.Altered {
				n.Altered++
			} else {
				take = append(take, k)
			}
		}
		if look || len(take) == 0 {
			n.Passkeys += len(take)
			continue
		}
		done := 0
		err = f.DB.Write(ctx, func(tx *db.Tx) error {
			done = 0
			for _, k := range take {
				ok, err := f.With.Resign(tx, k.Passkey, k.handle)
				if err != nil {
					return err
				}
				if ok {
					done++
				}
			}
			return nil
		})
		if n.Passkeys += done; err != nil {
			return err
		}
	}
	return nil
}

// foreignKeys are those passkeys of the next accounts that no key recognises. Passkeys of accounts without a handle open nothing.
func (f *Reseal) foreignKeys(tx *db.Tx, after string, n *Resealed) (list []foreignKey, last string, more bool, err error) {
	handles, last, err := account.Handles(tx, after, resealBatch)
	if err != nil || len(handles) == 0 {
		return nil, after, false, err
	}
	page, err := factor.PasskeysBetween(tx, after, last)
	if err != nil {
		return nil, "", false, err
	}
	for _, p := range page {
		handle := handles[p.Account]
		if handle == nil {
			continue
		}
		if f.With.Genuine(p, handle) {
			n.Genuine++
			continue
		}
		a, err := account.ByID(tx, p.Account)
		if err != nil {
			return nil, "", false, err
		}
		list = append(list, foreignKey{p, handle, Unrecognised{
			Account: a.ID, Email: a.Email, Kind: factor.Key, Name: p.Name, Host: p.RPID, MadeAt: p.MadeAt, Altered: !p.MadeAt.Before(f.With.Since),
		}})
	}
	return list, last, len(handles) == resealBatch, nil
}

func (f *Reseal) apps(ctx context.Context, look bool, n *Resealed, tell func(Unrecognised) error) error {
	for after, more := "", true; more; {
		var (
			page  []factor.AppRow
			lost  []factor.AppRow
			shown []Unrecognised
		)
		err := f.DB.Read(ctx, func(tx *db.Tx) (err error) {
			lost, shown = nil, nil
			if page, err = factor.AppsAfter(tx, after, resealBatch); err != nil {
				return err
			}
			for _, app := range page {
				if _, err := f.With.Secret(app); err == nil || !app.SuspectAt.IsZero() {
					continue
				}
				a, err := account.ByID(tx, app.Account)
				if errors.Is(err, account.ErrNotFound) {
					continue
				}
				if err != nil {
					return err
				}
				lost = append(lost, app)
				shown = append(shown, Unrecognised{Account: a.ID, Email: a.Email, Kind: factor.App, MadeAt: app.MadeAt})
			}
			return nil
		})
		if err != nil {
			return err
		}
		if more = len(page) == resealBatch; more {
			after = page[len(page)-1].Account
		}
		for _, u := range shown {
			if err := tell(u); err != nil {
				return err
			}
		}
		if n.Apps += len(lost); look || len(lost) == 0 {
			continue
		}
		if err := f.suspend(ctx, lost); err != nil {
			return err
		}
	}
	return nil
}

func (f *Reseal) suspend(ctx context.Context, apps []factor.AppRow) error {
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		for _, app := range apps {
			if _, err := factor.SuspendApp(tx, app, f.Now()); err != nil {
				return err
			}
		}
		return nil
	})
}
