package operate

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/intake"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// ErrMeanwhile is for accounts that were free a moment ago: look again.
var ErrMeanwhile = errors.New("one of the addresses was registered in the meantime")

// Taken says whose an address is: the id of the account that has it, and whether that has verified it, or that an undo holds
// it, whose owner can take it back for seven days.
type Taken struct {
	Account  string
	Verified bool
	Held     bool
}

// TakenAddresses returns what is known of each address.
func (f *Operator) TakenAddresses(ctx context.Context, addresses []account.Address) (out []Taken, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		out = make([]Taken, len(addresses))
		for i, a := range addresses {
			if out[i].Account, out[i].Verified, err = account.IDOf(tx, a); err != nil {
				return err
			}
			if err := flow.HeldByUndo(tx, a.Key, f.Now()); errors.Is(err, flow.ErrHeld) {
				out[i].Held = true
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// ImportOf returns the import of a file that was begun and has not ended, and whether there is one. It refuses to go on with
// one that was begun with other options.
func (f *Operator) ImportOf(ctx context.Context, file, options string) (run intake.Run, found bool, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		run, found, err = intake.Find(tx, file)
		return err
	})
	if err == nil && found && run.Options != options {
		err = fault.New(fault.Conflict, "import_unfinished", "An import of this file was broken off that was begun with other options ("+run.Options+
			"). Run it again with those: it goes on where it stopped.")
	}
	return run, found, err
}

// BeginImport records that the import of a file begins.
func (f *Operator) BeginImport(ctx context.Context, file, options string) (run intake.Run, err error) {
	run = intake.Run{File: file, Options: options, Began: f.Now()}
	return run, f.DB.Write(ctx, func(tx *db.Tx) error { return intake.Begin(tx, run) })
}

// Newcomer is somebody to be made. Factors are what they bring from another installation of ours; nil for nobody's.
type Newcomer struct {
	account.New
	Factors *factor.Moved
}

// Clashing reports of each newcomer whether their id, their user handle or one of their passkeys is an account's already.
func (f *Operator) Clashing(ctx context.Context, people []Newcomer) (out []bool, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		out = make([]bool, len(people))
		for i, n := range people {
			var handle []byte
			if n.Factors != nil {
				handle = n.Factors.Handle
				for _, p := range n.Factors.Passkeys {
					_, known, err := factor.PasskeyByCredential(tx, p.Credential)
					if err != nil {
						return err
					}
					out[i] = out[i] || known
				}
			}
			clashes, err := account.Clashes(tx, n.ID, handle)
			if err != nil {
				return err
			}
			out[i] = out[i] || clashes
		}
		return nil
	})
	return out, err
}

// Batch is some people of an import who are made together.
type Batch struct {
	// System is where they come from.
	System string
	People []Newcomer
	// Sealing is what the factors that they bring are sealed with; nil where nobody brings any.
	Sealing *factor.Store
	// Run says how far the import is afterwards, Before how many entries were done before.
	Run    intake.Run
	Before int64
}

// ImportUsers makes accounts whose addresses were free a moment ago, and records that the import has come as far as the batch says.
// It returns ErrMeanwhile, and has done nothing, if one is free no longer.
func (f *Operator) ImportUsers(ctx context.Context, b Batch, from event.Origin) error {
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		for _, n := range b.People {
			if err := f.bring(tx, n, b.Sealing, now, from); err != nil {
				return err
			}
		}
		if len(b.People) > 0 {
			f.Events.Append(tx, event.Event{
				Kind: event.AccountsImported, Outcome: event.Success, Origin: from,
				Detail: event.Detail{By: f.by(), Actor: f.actor(), Reason: b.System, Count: int64(len(b.People))},
			})
		}
		return intake.Move(tx, b.Run, b.Before)
	})
}

// bring makes the account of one newcomer.
func (f *Operator) bring(tx *db.Tx, n Newcomer, sealing *factor.Store, now time.Time, from event.Origin) error {
	_, created, err := account.Create(tx, n.New, now)
	if err == nil && !created {
		err = ErrMeanwhile
	}
	if err != nil {
		return err
	}
	if err := flow.HeldByUndo(tx, n.Address.Key, now); errors.Is(err, flow.ErrHeld) {
		return ErrMeanwhile
	} else if err != nil {
		return err
	}
	if n.Factors.Count() > 0 {
		account.BringFactors(tx, n.ID, n.Factors.Handle, n.Factors.Count())
		if err := sealing.Put(tx, n.ID, n.Factors, now); errors.Is(err, factor.ErrPasskeyKnown) {
			return ErrMeanwhile
		} else if err != nil {
			return err
		}
	}
	if len(n.Roles) == 0 {
		return nil
	}
	return f.gaveRoles(tx, n.ID, n.Roles, now, from)
}
