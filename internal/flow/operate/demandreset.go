package operate

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// errDisabledAnyway is for a reset that nobody could do.
var errDisabledAnyway = fault.New(fault.Conflict, "account_disabled", "This account is disabled, so nobody can sign in or set a password. "+
	"Enable it first.")

// ResetUser makes an account's password worth nothing, for when somebody else may
// have it: all its sessions end, no browser is known, links are void, and nobody
// signs in before a new one is set, by the mail that its owner gets. It returns how
// many sessions ended.
func (f *Operator) ResetUser(ctx context.Context, user string, from event.Origin) (a account.Account, ended int, err error) {
	links, err := f.EmailLinks(ctx)
	if err != nil {
		return a, 0, err
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		a, ended, err = f.DemandReset(tx, links, user, from)
		return err
	})
	return a, ended, err
}

// DemandReset is [Operator.ResetUser] within a transaction.
func (f *Operator) DemandReset(tx *db.Tx, links *flow.EmailLinks, user string, from event.Origin) (a account.Account, ended int, err error) {
	if a, err = account.Find(tx, user); err != nil {
		return a, 0, err
	}
	h, err := account.HolderByID(tx, a.ID)
	if err != nil {
		return a, 0, err
	}
	if h.Disabled {
		return a, 0, errDisabledAnyway
	}
	now := f.Now()
	next, ok, err := account.DemandReset(tx, h.ID, h.PasswordN, now)
	if err == nil && !ok {
		err = flow.ErrChangedMeanwhile
	}
	if err != nil {
		return a, 0, err
	}
	h.PasswordN = next
	if ended, err = f.endAll(tx, h.ID, session.WhyRevoked, from); err != nil {
		return a, 0, err
	}
	if err := flow.ForgetDevices(tx, h.ID); err != nil {
		return a, 0, err
	}
	if err := ticket.Void(tx, h.ID); err != nil {
		return a, 0, err
	}
	f.Events.Append(tx, event.Event{
		Kind: event.PasswordReset, Outcome: event.Success, Account: h.ID, Origin: from, Detail: event.Detail{By: f.by(), Actor: f.actor()},
	})
	f.acted(tx, ActReset, event.Event{Account: h.ID, Origin: from, Detail: event.Detail{Count: int64(ended)}})
	// Nobody asked for it in a browser, so it has a link and no code.
	m := links.Mail(tx, notice.AdminReset, "/reset", h, ticket.Ticket{Purpose: ticket.Reset, Address: h.Email, AddressKey: h.Key}, now)
	m.ByOperator = true
	return a, ended, links.Guard.Notices.Send(tx, m, event.Origin{})
}
