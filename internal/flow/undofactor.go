package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
)

// Undo takes back what was added: it removes every factor and recovery code that was made at the time
// of the mail or later, for who shows that mail's link and knows a password that the account had then, or
// within the week before. By the link alone whoever reads the mailbox would strip the account of a factor,
// and so no password counts that was set since by a mail: that is the mailbox once more. All sessions end,
// no browser is known, and a new password must be set by the mail that follows, whose code is good with the
// request.
func (f *Factors) Undo(ctx context.Context, token, pass string, b *Browser, from event.Origin) (request string, err error) {
	ctx, run := f.Count.Begin(ctx, "undo_factor")
	request = f.Tickets.NewRequest()
	return request, run.End(pressedTwice(f.undo(ctx, token, pass, request, b, from)))
}

func (f *Factors) undo(ctx context.Context, token, pass, request string, b *Browser, from event.Origin) error {
	if token == "" {
		return Required("token")
	}
	if pass == "" {
		return Required("password")
	}
	// One press after the other, so that the second finds the link used, and costs no
	// try at the password.
	end, err := f.undos.enter(ctx, lockout.Client{AddressKey: token}, 1)
	if err != nil {
		return err
	}
	defer end()
	t, err := f.find(ctx, LinkOrCode{Token: token}, event.FactorUndone, from, ticket.UndoFactor, ticket.UndoFactor)
	if err != nil {
		return err
	}
	h, err := f.holder(ctx, t.Account)
	if err != nil {
		return err
	}
	hashes := []string{t.OldHash}
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		former, err := account.ChangedSince(tx, t.Account, f.Now())
		hashes = append(hashes, former...)
		return err
	})
	if err != nil {
		return err
	}
	// Guesses count by themselves, as those at the undo of an address.
	h.Email, h.Key = t.Address, "undo "+t.Account
	try, end, err := f.checkAnyPassword(ctx, h, hashes, pass, b, errWrongOldPassword, from)
	if err != nil {
		return err
	}
	defer end()
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		f.reauthenticated(tx, try, t.Account, "", from)
		return f.strip(tx, t, request, from)
	})
	if err != nil {
		f.Guard.giveBack(ctx, try) // it was right
	}
	return err
}

// strip removes what was added, and demands a new password.
func (f *Factors) strip(tx *db.Tx, t ticket.Ticket, request string, from event.Origin) error {
	now := f.Now()
	h, err := account.Recover(tx, t.Account, now)
	if errors.Is(err, account.ErrNotFound) {
		return ticket.ErrLink
	}
	if err != nil {
		return err
	}
	if err := ticket.Consume(tx, t, now); err != nil {
		return err
	}
	if err := f.Guard.keep(tx, h.ID, "undone", from); err != nil {
		return err
	}
	if err := ticket.Void(tx, h.ID); err != nil {
		return err
	}
	if err := f.removeFactorsSince(tx, h.ID, t.Made(), from); err != nil {
		return err
	}
	if err := f.dropIdentities(tx, h.ID, t.Made(), "undone", from); err != nil {
		return err
	}
	if err := f.endSessions(tx, h.ID, "", "factor_undone", from); err != nil {
		return err
	}
	if err := ForgetDevices(tx, h.ID); err != nil {
		return err
	}
	return f.Guard.Notices.Send(tx, f.resetMail(tx, h, request, now), from)
}

// removeSince takes away what was added to an account since then: second factors, and what it is linked to at other providers.
func (l *EmailLinks) removeSince(tx *db.Tx, h account.Holder, since time.Time, from event.Origin) error {
	if h.Factors > 0 { // a reset waits for no other
		if err := l.removeFactorsSince(tx, h.ID, since, from); err != nil {
			return err
		}
	}
	return l.dropIdentities(tx, h.ID, since, "undone", from)
}

// removeFactorsSince is what every undo does: nothing of what was added since then opens the account.
// Whoever calls it holds the account's row.
func (l *EmailLinks) removeFactorsSince(tx *db.Tx, id string, since time.Time, from event.Origin) error {
	gone, err := factor.RemoveSince(tx, id, since)
	if err != nil {
		return err
	}
	if _, err := factor.StopReset(tx, id); err != nil {
		return err
	}
	if err := account.FactorsRemoved(tx, id, len(gone)); err != nil {
		return err
	}
	l.Guard.Events.Append(tx, event.Event{
		Kind: event.FactorUndone, Outcome: event.Success, Account: id, Origin: from, Detail: event.Detail{Count: int64(len(gone))},
	})
	return nil
}
