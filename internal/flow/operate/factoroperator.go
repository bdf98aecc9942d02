package operate

import (
	"context"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
)

// errHasFactor is for an invitation that nobody needs.
var errHasFactor = fault.New(fault.Conflict, "has_factor",
	"This account has a second factor already. Who has lost it needs a reset: gatehouse user factor reset.")

// InviteFactor makes what stands in for the code by mail when somebody adds a first factor: for installations that
// can't send mails. It is good once, for [ticket.FactorInvite]'s life, and void after any change of the password.
func (f *Operator) InviteFactor(ctx context.Context, user string, from event.Origin) (a account.Account, token string, err error) {
	links, err := f.EmailLinks(ctx)
	if err != nil {
		return a, "", err
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		if a, err = account.Find(tx, user); err != nil {
			return err
		}
		h, err := account.HolderByID(tx, a.ID)
		if err == nil && h.Factors > 0 {
			err = errHasFactor
		}
		if err != nil {
			return err
		}
		token = links.Tickets.Issue(tx, ticket.Ticket{
			Purpose: ticket.FactorInvite, Account: h.ID, Address: h.Email, AddressKey: h.Key, PasswordN: h.PasswordN,
		}, f.Now()).Token
		f.Events.Append(tx, event.Event{
			Kind: event.FactorInvited, Outcome: event.Success, Account: h.ID, Origin: from, Detail: event.Detail{By: f.by(), Actor: f.actor()},
		})
		return nil
	})
	return a, token, err
}

// OwnedFactors is what an account has, and when a reset of it is due; zero if none waits.
type OwnedFactors struct {
	factor.Owned
	ResetDue time.Time
}

// ownedFactors returns it.
func ownedFactors(tx *db.Tx, id string) (o OwnedFactors, err error) {
	if o.Owned, err = factor.Own(tx, id); err == nil {
		o.ResetDue, err = factor.ResetOf(tx, id)
	}
	return o, err
}

// FactorsOf returns an account with its second factors: kinds and times, never a secret.
func (f *Operator) FactorsOf(ctx context.Context, user string) (a account.Account, o OwnedFactors, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		if a, err = account.Find(tx, user); err == nil {
			o, err = ownedFactors(tx, a.ID)
		}
		return err
	})
	return a, o, err
}

// Owner is an account with its second factors.
type Owner struct {
	account.Account
	Factors OwnedFactors
}

// Owners returns up to limit accounts with their second factors, from the one after the given id on: of those with
// a role, or of all if it is empty; bare are those alone that have none. Disabled ones are left out.
func (f *Operator) Owners(ctx context.Context, role string, bare bool, after string, limit int) (list []Owner, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		list = nil
		accounts, err := account.MayHaveFactors(tx, role, bare, after, limit)
		for _, a := range accounts {
			own := Owner{Account: a}
			if !bare {
				if own.Factors, err = ownedFactors(tx, a.ID); err != nil {
					return err
				}
			}
			list = append(list, own)
		}
		return err
	})
	return list, err
}

// The faults of a reset.
var (
	errNothingToReset = fault.New(fault.Conflict, "no_factor", "This account has no second factor.")
	errNoReset        = fault.New(fault.NotFound, "reset_not_found", "No reset of second factors waits for this account.")
)

// ResetFactors asks that an account's second factors be taken away after a wait, in the place of what was asked
// before, and returns when it is due.
func (f *Operator) ResetFactors(ctx context.Context, user, why string, wait time.Duration, from event.Origin) (a account.Account, due time.Time, err error) {
	return f.resetFactors(ctx, user, why, account.Address{}, wait, from)
}

// ResetAddress is ResetFactors for whoever has lost the mailbox as well: the account gets another address by it, factors or none.
func (f *Operator) ResetAddress(ctx context.Context, user, why, address string, wait time.Duration, from event.Origin) (
	a account.Account, due time.Time, err error,
) {
	next, err := f.Accounts.Address(address)
	if err != nil {
		return a, due, err
	}
	taken, err := f.TakenAddresses(ctx, []account.Address{next})
	if err != nil {
		return a, due, err
	}
	if t := taken[0]; t.Held || t.Verified {
		return a, due, fault.Field("address", "address_taken", "This address is another account's, or was until a change that can still be undone.")
	}
	return f.resetFactors(ctx, user, why, next, wait, from)
}

func (f *Operator) resetFactors(ctx context.Context, user, why string, next account.Address, wait time.Duration, from event.Origin) (
	a account.Account, due time.Time, err error,
) {
	links, err := f.EmailLinks(ctx)
	if err != nil {
		return a, due, err
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		if a, err = account.Find(tx, user); err != nil {
			return err
		}
		h, err := account.HolderByID(tx, a.ID)
		switch {
		case err != nil:
		case f.acting.Who.Account == a.ID:
			err = ErrOneself
		case f.acting.Who.Account != "" && slices.Contains(a.Roles, account.Admin):
			err = errFactorsOfAdmin
		case h.Factors == 0 && next.Key == "":
			err = errNothingToReset
		}
		if err != nil {
			return err
		}
		now := f.Now()
		due = now.Add(wait)
		if err := factor.AskReset(tx, factor.Reset{
			Account: h.ID, AskedAt: now, DueAt: due, By: f.by(), Reason: why, Address: next.Typed, AddressKey: next.Key,
		}); err != nil {
			return err
		}
		f.Events.Append(tx, event.Event{
			Kind: event.FactorResetAsked, Outcome: event.Success, Account: h.ID, Origin: from, Detail: event.Detail{By: f.by(), Actor: f.actor(), Reason: why},
		})
		f.acted(tx, ActFactorReset, event.Event{Account: h.ID, Origin: from})
		if wait == 0 {
			return nil // they stand there: the mail that it was done follows at once
		}
		m := links.Mail(tx, notice.FactorResetAsked, "/stop-reset", h, ticket.Ticket{
			Purpose: ticket.StopReset, Address: h.Email, AddressKey: h.Key, Until: due,
		}, now)
		m.NewAddress = next.Typed
		m.ByOperator, m.Due, m.LinkLife, m.Code, m.CodeLife = true, due, wait, "", 0
		return links.Guard.Notices.Send(tx, m, event.Origin{})
	})
	return a, due, err
}

// StopFactorReset takes a reset back.
func (f *Operator) StopFactorReset(ctx context.Context, user string, from event.Origin) (a account.Account, err error) {
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		if a, err = account.Find(tx, user); err != nil {
			return err
		}
		stopped, err := factor.StopReset(tx, a.ID)
		if err == nil && !stopped {
			err = errNoReset
		}
		if err != nil {
			return err
		}
		f.Events.Append(tx, event.Event{
			Kind: event.FactorResetStop, Outcome: event.Success, Account: a.ID, Origin: from,
			Detail: event.Detail{By: f.by(), Actor: f.actor(), Reason: "operator"},
		})
		f.acted(tx, ActFactorKeep, event.Event{Account: a.ID, Origin: from})
		return nil
	})
	return a, err
}
