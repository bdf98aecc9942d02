package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
)

// Addresses gives accounts another address: asked for by who is signed in and
// knows the password, confirmed at the new address, with a notification to the old one that has a way
// back.
type Addresses struct{ *EmailLinks }

// Change asks at the new address whether it is to be the account's. If it is
// another account's already its owner is notified instead, and the answer is the same.
//
// The request is what the code in that mail is good with, and is always there.
func (f *Addresses) Change(ctx context.Context, who Identity, email, current string, b *Browser, from event.Origin) (request string, err error) {
	ctx, run := f.Count.Begin(ctx, "change_email")
	request = f.Tickets.NewRequest()
	return request, run.End(f.change(ctx, who, email, current, request, b, from))
}

func (f *Addresses) change(ctx context.Context, who Identity, email, current, request string, b *Browser, from event.Origin) (err error) {
	if email == "" {
		return Required("email")
	}
	if err := f.Lockdown.Pass(lockdown.Changes); err != nil {
		return err
	}
	a, err := f.New.parse("email", email)
	if err != nil {
		return err
	}
	h, err := f.ownAccount(ctx, who)
	if err == nil {
		err = f.asksCurrent(who, h, current)
	}
	if err != nil {
		return err
	}
	done, err := f.Limits.addressChange(ctx, who.Account, from)
	if err != nil {
		return err
	}
	defer func() { done(err) }()
	s, err := f.checkCurrent(ctx, h, current, b, from)
	if err != nil {
		return err
	}
	defer s.end()
	defer takeMinimumTime(ctx, time.Now())
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		f.showed(tx, s, h.ID, who.Session, from)
		f.Guard.Events.Append(tx, event.Event{
			Kind: event.EmailChange, Outcome: event.Success, Account: h.ID, Session: who.Session, Origin: from,
			Detail: event.Detail{Reason: "asked", Address: addressHash(f.Guard.Pseudonym, a.Key), AMR: s.proof(who)},
		})
		if taken, err := f.notifyTaken(tx, a, h.ID, now, from); err != nil || taken {
			return err
		}
		if ok, err := f.Limits.affords(tx, shareUnasked, a.Key, from, now); err != nil || !ok {
			return err
		}
		return f.Guard.Notices.Send(tx, f.Mail(tx, notice.ConfirmAddress, "/verify", h,
			ticket.Ticket{Purpose: ticket.Change, Address: a.Typed, AddressKey: a.Key, Request: request}, now), from)
	})
}

// notifyTaken tells the owner of an address that is another account's, or that an undo
// leads to, and reports whether it is so. An account that never showed that the
// address is its own does not count: it gives way to whoever shows that.
func (l *EmailLinks) notifyTaken(tx *db.Tx, a account.Address, but string, now time.Time, from event.Origin) (taken bool, err error) {
	other, err := account.HolderByAddress(tx, a)
	if err != nil && !errors.Is(err, account.ErrNotFound) {
		return false, err
	}
	if err == nil && other.ID == but {
		return false, nil
	}
	if err != nil || !other.Verified {
		_, taken, err = l.sendWayBack(tx, a, shareUnasked, now, from)
		return taken, err
	}
	if ok, err := l.Limits.affords(tx, shareUnasked, a.Key, from, now); err != nil || !ok {
		return true, err
	}
	return true, l.Guard.Notices.Send(tx, notice.Mail{
		Kind: notice.AddressRegistered, Account: other.ID, To: other.Email, Name: other.Name, Locale: other.Locale, At: now,
	}, from)
}

// changeAddress gives the account the address that a ticket was sent to, and tells the old
// one.
func (l *EmailLinks) changeAddress(tx *db.Tx, t ticket.Ticket, from event.Origin) error {
	if err := l.Lockdown.Pass(lockdown.Changes); err != nil {
		return err
	}
	now := l.Now()
	_, ok, err := account.HoldPassword(tx, t.Account, t.PasswordN, false)
	if err == nil && !ok {
		err = ticket.Gone(tx, t)
	}
	if err != nil {
		return err
	}
	h, err := account.HolderByID(tx, t.Account)
	if err != nil {
		return err
	}
	if err := ticket.Consume(tx, t, now); err != nil {
		return err
	}
	if err := l.displaceClaim(tx, t.AddressKey, h.ID, now, from); err != nil {
		return err
	}
	n, ok, err := account.SetAddress(tx, h.ID, t.PasswordN, t.Address, t.AddressKey, now)
	if err == nil && !ok {
		err = ticket.ErrLink
	}
	if err != nil {
		return err
	}
	if err := ticket.VoidSent(tx, h.ID); err != nil {
		return err
	}
	l.Guard.Events.Append(tx, event.Event{
		Kind: event.EmailChange, Outcome: event.Success, Account: h.ID, Origin: from,
		Detail: event.Detail{Reason: "done", Address: addressHash(l.Guard.Pseudonym, t.AddressKey)},
	})
	if h.Key == t.AddressKey {
		return nil // the same mailbox, written otherwise: it has just confirmed that itself
	}
	if err := HeldByUndo(tx, t.AddressKey, now); err != nil {
		return err
	}
	m, err := l.wayBack(tx, h, ticket.Ticket{
		Purpose: ticket.Undo, Account: h.ID, Address: h.Email, AddressKey: h.Key, PasswordN: h.PasswordN, Seq: n, Holds: h.Verified,
	}, t.Address, now)
	if err != nil {
		return err
	}
	return l.Guard.Notices.Send(tx, m, from)
}

// taken makes the fault of a link from the error of an address that another
// account got in the same moment, or that an undo leads to.
func taken(err error) error {
	if db.IsTaken(err) || errors.Is(err, ErrHeld) {
		return ticket.ErrLink.Because(err)
	}
	return err
}
