package flow

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// Setup makes the first administrator, for whoever holds the link that the
// start of the server printed. There is no default account.
type Setup struct {
	Core
	Accounts *NewAccounts
	Random   secret.Random
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

// Do makes the administrator. Of any number at once, with one link or many, one
// succeeds.
func (f *Setup) Do(ctx context.Context, token string, in Credentials, from event.Origin) error {
	ctx, run := f.Count.begin(ctx, "setup")
	return run.end(f.do(ctx, token, in, from))
}

func (f *Setup) do(ctx context.Context, token string, in Credentials, from event.Origin) error {
	// Looked up before the password is hashed, so that strangers cost nothing, and
	// again in the transaction.
	err := f.DB.Read(ctx, func(tx *db.Tx) error { return f.open(tx, token) })
	if err != nil {
		return err
	}
	n, now, err := f.Accounts.prepare(ctx, in)
	if err != nil {
		return err
	}
	n.Roles, n.Verified = []string{account.Admin}, true
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		if err := f.open(tx, token); err != nil {
			return err
		}
		first, err := account.ClaimFirstAdmin(tx, now)
		if err != nil {
			return err
		}
		if !first {
			return ErrSetupClosed
		}
		_, created, err := account.Create(tx, n, now)
		if err != nil {
			return err
		}
		if !created {
			return fault.Field("email", "address_taken",
				"This address has an account already. Give it the role with: gatehouse user roles %s admin", n.Address.Typed)
		}
		by := event.Detail{By: "setup"}
		f.Events.Append(tx, event.Event{Kind: event.AccountRegistered, Outcome: event.Success, Account: n.ID, Origin: from, Detail: by})
		by.Roles = n.Roles
		f.Events.Append(tx, event.Event{Kind: event.RoleChange, Outcome: event.Success, Account: n.ID, Origin: from, Detail: by})
		return nil
	})
}

func (f *Setup) open(tx *db.Tx, token string) error {
	has, err := account.HasSetupLink(tx, token, f.Now())
	if err == nil && !has {
		err = ErrSetupClosed
	}
	return err
}
