package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
)

// Setup makes the first administrator, for whoever holds the link that the
// start of the server printed. There is no default account.
type Setup struct {
	Core
	Accounts *NewAccounts
	Random   secret.Random
	// Demand is whose accounts must have a second factor, and Factors makes sign-ins that wait for one.
	Demand  Demand
	Factors *factor.Store
}

const (
	// setupPrefix begins every set-up token, so that scanners can find it.
	setupPrefix = "gatehouse_st_"
	setupLife   = 24 * time.Hour
)

// ErrSetupClosed is for a set-up link that does not work, or no longer.
var ErrSetupClosed = fault.New(fault.Denied, "setup_closed",
	"This set-up link does not work, or no longer. Each start of the server prints a new one as long as there is no administrator; `gatehouse user "+
		"create --admin` makes one too.")

// Link returns the token of a new link, or nothing if there has been an
// administrator already.
func (f *Setup) Link(ctx context.Context) (token string, err error) {
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		token = ""
		has, err := account.HasAdmin(tx)
		if err != nil || has {
			return err
		}
		token = setupPrefix + f.Random.Text(secret.KeySize)
		now := f.Now()
		return account.AddSetupLink(tx, token, now, now.Add(setupLife))
	})
	return token, err
}

// bySetup is the By of what the set-up does.
const bySetup = "setup"

// Do makes the administrator. Of any number at once, with one link or many, one
// succeeds. Where administrators must have a second factor the link stays good until that is added: then the
// error is a [Waiting] for the enrolment, whose end makes the administrator. Who has broken it off comes again, with
// the same address and password.
func (f *Setup) Do(ctx context.Context, token string, in Credentials, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "setup")
	return run.End(f.do(ctx, token, in, from))
}

func (f *Setup) do(ctx context.Context, token string, in Credentials, from event.Origin) error {
	// Looked up before the password is hashed, so that strangers cost nothing, and
	// again in the transaction.
	var begun account.Credentials
	err := f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if err = f.open(tx, token); err == nil {
			begun, err = f.begun(tx, in.Email)
		}
		return err
	})
	if err != nil {
		return err
	}
	enrols := f.Demand.of([]string{account.Admin})
	if enrols && begun.ID != "" {
		match, err := f.Accounts.Hasher.Verify(ctx, begun.ID, begun.Hash, in.Password)
		if err != nil {
			return err
		}
		if match.OK {
			return f.wait(ctx, token, begun, from)
		}
	}
	n, now, err := f.Accounts.Prepare(ctx, in)
	if err != nil {
		return err
	}
	if n.Verified = true; !enrols {
		n.Roles = []string{account.Admin}
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error { return f.create(tx, token, n, now, from) })
	if err != nil || !enrols {
		return err
	}
	return f.wait(ctx, token, account.Credentials{ID: n.ID}, from)
}

// begun returns the account that this set-up has made, and that nobody has signed in to; none, if that is not so.
func (f *Setup) begun(tx *db.Tx, email string) (account.Credentials, error) {
	address, err := account.ParseAddress("email", email)
	if err != nil {
		return account.Credentials{}, nil //nolint:nilerr // it is told with the rest
	}
	who, err := account.ByAddress(tx, address)
	if errors.Is(err, account.ErrNotFound) {
		return account.Credentials{}, nil
	}
	if !who.Verified || who.Disabled || who.MustReset || !who.SignedInAt.IsZero() || len(who.Roles) > 0 || who.Factors > 0 {
		return account.Credentials{}, err
	}
	return who, err
}

// create makes the account, and the administrator of it unless that waits for a second factor.
func (f *Setup) create(tx *db.Tx, token string, n account.New, now time.Time, from event.Origin) error {
	if err := f.open(tx, token); err != nil {
		return err
	}
	by := event.Detail{By: bySetup}
	if len(n.Roles) > 0 {
		first, err := account.ClaimFirstAdmin(tx, now)
		if err == nil && !first {
			err = ErrSetupClosed
		}
		if err != nil {
			return err
		}
	}
	_, created, err := account.Create(tx, n, now)
	if err != nil {
		return err
	}
	if !created {
		return fault.Field("email", "address_taken",
			"This address already has an account. Give it the role with: gatehouse user roles %s admin", n.Address.Typed)
	}
	f.Events.Append(tx, event.Event{Kind: event.AccountRegistered, Outcome: event.Success, Account: n.ID, Origin: from, Detail: by})
	if by.Roles = n.Roles; len(n.Roles) > 0 {
		f.Events.Append(tx, event.Event{Kind: event.RoleChange, Outcome: event.Success, Account: n.ID, Origin: from, Detail: by})
	}
	return nil
}

// wait makes the pending sign-in in which the first administrator adds a second factor, and returns it as the error.
func (f *Setup) wait(ctx context.Context, token string, who account.Credentials, from event.Origin) error {
	w := &Waiting{why: errEnrolment, Life: factor.PendingLife, Enrol: true}
	err := f.DB.Write(ctx, func(tx *db.Tx) error {
		if err := f.open(tx, token); err != nil {
			return err
		}
		w.Token = f.Factors.Begin(tx, factor.Pending{
			Account: who.ID, Want: factor.Enrol, Proof: factor.BySetup, AMR: []string{amrPassword}, PasswordN: who.PasswordN, FactorN: who.FactorN,
			Network: event.Network(from.Address).String(),
		}, f.Now())
		f.Events.Append(tx, event.Event{
			Kind: event.SecondStepAsked, Outcome: event.Success, Account: who.ID, Origin: from, Detail: event.Detail{AMR: []string{amrPassword}, By: bySetup},
		})
		return nil
	})
	if err != nil {
		return err
	}
	return w
}

func (f *Setup) open(tx *db.Tx, token string) error {
	has, err := account.HasSetupLink(tx, token, f.Now())
	if err == nil && !has {
		err = ErrSetupClosed
	}
	return err
}
