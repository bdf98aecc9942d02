package flow

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
)

// errDisabledAnyway is for a reset that nobody could do.
var errDisabledAnyway = fault.New(fault.Conflict, "account_disabled", "This account is disabled, so nobody signs in, and nobody can set a password. "+
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
		if a, err = account.Find(tx, user); err != nil {
			return err
		}
		h, err := account.HolderByID(tx, a.ID)
		if err != nil {
			return err
		}
		if h.Disabled {
			return errDisabledAnyway
		}
		now := f.Now()
		next, ok, err := account.DemandReset(tx, h.ID, h.PasswordN, now)
		if err == nil && !ok {
			err = errChangedMeanwhile
		}
		if err != nil {
			return err
		}
		h.PasswordN = next
		if ended, err = f.endAll(tx, h.ID, session.WhyRevoked, from); err != nil {
			return err
		}
		if err := forgetDevices(tx, h.ID); err != nil {
			return err
		}
		if err := ticket.Void(tx, h.ID); err != nil {
			return err
		}
		f.Events.Append(tx, event.Event{
			Kind: event.PasswordReset, Outcome: event.Success, Account: h.ID, Origin: from, Detail: event.Detail{By: operator},
		})
		m := links.mail(tx, notice.AdminReset, "/reset", h, ticket.Ticket{Purpose: ticket.Reset, Address: h.Email, AddressKey: h.Key}, now)
		m.ByOperator = true
		return links.Guard.Notices.Send(tx, m, event.Origin{})
	})
	return a, ended, err
}
