package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
)

// Addresses gives accounts another address: asked for by who is signed in and
// knows the password, confirmed at the new address, told to the old one with a way
// back.
type Addresses struct{ *EmailLinks }

// Change asks at the new address whether it is to be the account's. If it is
// another account's already its owner is told instead, and the answer is the same.
func (f *Addresses) Change(ctx context.Context, who Identity, email, current string, b *Browser, from event.Origin) error {
	ctx, run := f.Count.begin(ctx, "change_email")
	return run.end(f.change(ctx, who, email, current, b, from))
}

func (f *Addresses) change(ctx context.Context, who Identity, email, current string, b *Browser, from event.Origin) (err error) {
	if email == "" {
		return required("email")
	}
	if current == "" {
		return required("current_password")
	}
	a, err := account.ParseAddress("email", email)
	if err != nil {
		return err
	}
	h, err := f.ownAccount(ctx, who)
	if err != nil {
		return err
	}
	done, err := f.Limits.addressChange(ctx, who.Account, from)
	if err != nil {
		return err
	}
	defer func() { done(err) }()
	try, err := f.checkPassword(ctx, h, h.Hash, current, b, ErrWrongPassword, from)
	if err != nil {
		return err
	}
	defer takeMinimumTime(ctx, time.Now())
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		f.Guard.succeeded(tx, try)
		f.Guard.Events.Append(tx, event.Event{
			Kind: event.EmailChange, Outcome: event.Success, Account: h.ID, Session: who.Session, Origin: from,
			Detail: event.Detail{Reason: "asked", Address: addressHash(f.Guard.Pseudonym, a.Key)},
		})
		other, err := account.HolderByAddress(tx, a)
		if err != nil && !errors.Is(err, account.ErrNotFound) {
			return err
		}
		if ok, err := f.Limits.affords(tx, shareUnasked, a.Key, from, now); err != nil || !ok {
			return err
		}
		if err == nil && other.ID != h.ID {
			return f.Guard.Notices.Send(tx, notice.Mail{
				Kind: notice.AddressRegistered, Account: other.ID, To: other.Email, Name: other.Name, Locale: other.Locale, At: now,
			}, from)
		}
		return f.Guard.Notices.Send(tx, f.mail(tx, notice.ConfirmAddress, "/verify", h,
			ticket.Ticket{Purpose: ticket.Change, Address: a.Typed, AddressKey: a.Key}, now), from)
	})
}

// changeAddress gives the account the address that a ticket was sent to, and tells the old
// one.
func (l *EmailLinks) changeAddress(tx *db.Tx, t ticket.Ticket, from event.Origin) error {
	now := l.Now()
	h, err := account.HolderByID(tx, t.Account)
	if errors.Is(err, account.ErrNotFound) {
		return ticket.ErrLink
	}
	if err != nil {
		return err
	}
	ok, err := account.SetAddress(tx, h.ID, t.PasswordN, t.Address, t.AddressKey, now)
	if err == nil && !ok {
		err = ticket.ErrLink
	}
	if err != nil {
		return err
	}
	if err := ticket.Consume(tx, t, now); err != nil {
		return err
	}
	if err := ticket.VoidSent(tx, h.ID); err != nil {
		return err
	}
	l.Guard.Events.Append(tx, event.Event{
		Kind: event.EmailChange, Outcome: event.Success, Account: h.ID, Origin: from,
		Detail: event.Detail{Reason: "done", Address: addressHash(l.Guard.Pseudonym, t.AddressKey)},
	})
	undo := l.Tickets.Issue(tx, ticket.Ticket{
		Purpose: ticket.Undo, Account: h.ID, Address: h.Email, AddressKey: h.Key, PasswordN: h.PasswordN, OldHash: h.Hash,
	}, now)
	return l.Guard.Notices.Send(tx, notice.Mail{
		Kind: notice.AddressChanged, Account: h.ID, To: h.Email, Name: h.Name, Locale: h.Locale, At: now,
		Undo: l.link("/undo", undo.Token), UndoLife: ticket.Undo.Life(), NewAddress: t.Address,
	}, from)
}

// Undo takes a change of address back, for who shows the link that the old address
// got and knows the password that was in force before the change, whatever has
// become of it since. That password may have been what somebody else got hold of,
// so all sessions end, and a new one must be set by the mail that the old address
// gets.
func (f *Addresses) Undo(ctx context.Context, token, pass string, b *Browser, from event.Origin) error {
	ctx, run := f.Count.begin(ctx, "undo_email")
	return run.end(f.undo(ctx, token, pass, b, from))
}

func (f *Addresses) undo(ctx context.Context, token, pass string, b *Browser, from event.Origin) error {
	if token == "" {
		return required("token")
	}
	if pass == "" {
		return required("password")
	}
	t, err := f.find(ctx, LinkOrCode{Token: token}, event.EmailChange, from, ticket.Undo, ticket.Undo)
	if err != nil {
		return err
	}
	h, err := f.holder(ctx, t.Account)
	if err != nil {
		return err
	}
	// Guesses count at the address that the link went to.
	old := h
	old.Email, old.Key = t.Address, t.AddressKey
	try, err := f.checkPassword(ctx, old, t.OldHash, pass, b, errWrongOldPassword, from)
	if err != nil {
		return err
	}
	return taken(f.DB.Write(ctx, func(tx *db.Tx) error {
		f.Guard.succeeded(tx, try)
		return f.restore(tx, t, from)
	}))
}

// taken makes the fault of a link from the error of an address that another
// account got in the same moment.
func taken(err error) error {
	if db.IsTaken(err) {
		return ticket.ErrLink.Because(err)
	}
	return err
}

// errWrongOldPassword is for an undo.
var errWrongOldPassword = fault.New(fault.Denied, "wrong_password",
	"This is not the password that the account had before its address was changed.")

// restore gives the account its old address back.
func (f *Addresses) restore(tx *db.Tx, t ticket.Ticket, from event.Origin) error {
	now := f.Now()
	h, err := account.HolderByID(tx, t.Account)
	if err != nil {
		return err
	}
	ok, err := account.SetAddress(tx, h.ID, h.PasswordN, t.Address, t.AddressKey, now)
	if err == nil && ok {
		ok, err = account.DemandReset(tx, h.ID, h.PasswordN, now)
	}
	if err == nil && !ok {
		err = ticket.ErrLink
	}
	if err != nil {
		return err
	}
	if err := f.revokeAccess(tx, t, "email_undone", now, from); err != nil {
		return err
	}
	f.Guard.Events.Append(tx, event.Event{
		Kind: event.EmailChange, Outcome: event.Success, Account: h.ID, Origin: from,
		Detail: event.Detail{Reason: "undone", Address: addressHash(f.Guard.Pseudonym, t.AddressKey)},
	})
	h.Email, h.Key = t.Address, t.AddressKey
	return f.Guard.Notices.Send(tx, f.resetMail(tx, h, now), from)
}
