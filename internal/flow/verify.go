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
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
)

// Verify makes an address an account's own: the one it was registered with, or
// another that it is to have.
//
// Whoever can read the mailbox is not always who chose the password: somebody may
// have registered another's address, and wait for its owner to press the button. So
// it takes one click only in the browser that registered, or that is signed in to
// the account; elsewhere the password is asked for as well.
type Verify struct{ *EmailLinks }

// ErrPasswordRequired is for a link, or a code, that is good.
var ErrPasswordRequired = fault.New(fault.Denied, "password_required",
	"The link or the code is good. This is not the browser that registered, so please give the account's password as well. If you did not choose one, "+
		"somebody else has registered your address: set a password by \"Forgot password\", and the account is yours alone.")

// ErrWrongPassword is for who is signed in and is asked for their password.
var ErrWrongPassword = fault.New(fault.Denied, "wrong_password", "This is not the account's current password.")

// Do verifies. who is signed in, if somebody is.
func (f *Verify) Do(ctx context.Context, in LinkOrCode, pass string, who Identity, b *Browser, from event.Origin) error {
	ctx, run := f.Count.begin(ctx, "verify_email")
	return run.end(pressedTwice(f.do(ctx, in, pass, who, b, from)))
}

func (f *Verify) do(ctx context.Context, in LinkOrCode, pass string, who Identity, b *Browser, from event.Origin) error {
	t, err := f.find(ctx, in, event.EmailVerification, from, ticket.Verify, ticket.Change)
	if err != nil {
		return err
	}
	h, err := f.holder(ctx, t.Account)
	if err != nil {
		return err
	}
	var try lockout.Try
	proved := who.Account == t.Account
	if t.Purpose == ticket.Verify && b != nil && secret.Equal([]byte(b.Registered), []byte(registered(f.Key(), t.Account))) {
		proved = true
	}
	if !proved {
		if pass == "" {
			return ErrPasswordRequired
		}
		if try, err = f.checkPassword(ctx, h, h.Hash, pass, b, ErrWrongPassword, from); err != nil {
			return err
		}
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		if !proved {
			f.Guard.succeeded(tx, try)
		}
		if t.Purpose == ticket.Change {
			return f.changeAddress(tx, t, from)
		}
		return f.confirm(tx, t, from)
	})
	if err != nil && !proved {
		f.Guard.giveBack(ctx, try) // it was right
	}
	return taken(err)
}

func (f *Verify) confirm(tx *db.Tx, t ticket.Ticket, from event.Origin) error {
	now := f.Now()
	ok, err := account.Confirm(tx, t.Account, t.PasswordN, t.AddressKey, now)
	if err == nil && !ok {
		err = ticket.Gone(tx, t)
	}
	if err != nil {
		return err
	}
	if err := ticket.Consume(tx, t, now); err != nil {
		return err
	}
	f.Guard.Events.Append(tx, event.Event{Kind: event.EmailVerification, Outcome: event.Success, Account: t.Account, Origin: from})
	return nil
}

// Resend sends another mail for verifying an address. It tells nobody whether there
// is anything to verify.
func (f *Verify) Resend(ctx context.Context, email string, from event.Origin) error {
	ctx, run := f.Count.begin(ctx, "resend_verification")
	return run.end(f.forAddress(ctx, email, from, func(tx *db.Tx, h account.Holder, a account.Address, now time.Time) error {
		e := event.Event{
			Kind: event.EmailVerification, Outcome: event.Failure, Account: h.ID, Origin: from,
			Detail: event.Detail{Reason: "nothing_to_verify", Address: addressHash(f.Guard.Pseudonym, a.Key)},
		}
		if h.ID == "" || h.Verified || h.Disabled {
			f.Guard.Events.Append(tx, e)
			return nil
		}
		ok, err := f.Limits.affords(tx, shareVerify, h.Key, from, now)
		if err != nil {
			return err
		}
		if !ok {
			e.Detail.Reason = "too_many_mails"
			f.Guard.Events.Append(tx, e)
			return nil
		}
		e.Outcome, e.Detail.Reason = event.Success, "mail_sent"
		f.Guard.Events.Append(tx, e)
		return f.Guard.Notices.Send(tx, f.verifyMail(tx, h, now), from)
	}))
}

// verifyMail is the mail to somebody who has just registered, or asks again.
func (l *EmailLinks) verifyMail(tx *db.Tx, h account.Holder, now time.Time) notice.Mail {
	return l.mail(tx, notice.VerifyAddress, "/verify", h, ticket.Ticket{Purpose: ticket.Verify, Address: h.Email, AddressKey: h.Key}, now)
}

// forAddress does something for the account with the address; without one, h has
// no id. The answer takes the same time.
func (l *EmailLinks) forAddress(ctx context.Context, email string, from event.Origin, do func(tx *db.Tx, h account.Holder, a account.Address,
	now time.Time) error) error {
	if email == "" {
		return required("email")
	}
	a, err := account.ParseAddress("email", email)
	if err != nil {
		return err
	}
	if err := l.Limits.mail(ctx, from); err != nil {
		return err
	}
	defer takeMinimumTime(ctx, time.Now())
	return l.DB.Write(ctx, func(tx *db.Tx) error {
		h, err := account.HolderByAddress(tx, a)
		if err != nil && !errors.Is(err, account.ErrNotFound) {
			return err
		}
		return do(tx, h, a, l.Now())
	})
}
