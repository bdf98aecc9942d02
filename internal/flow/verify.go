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
//
// An account that was registered without a password has none to ask for: whoever has the mail goes on to its first passkey.
// So does whoever was invited, and wants no password.
type Verify struct {
	*EmailLinks
	// Factors makes sign-ins that wait for a passkey; Passwordless is whether people may register so (PASSWORDLESS).
	Factors      *factor.Store
	Passwordless bool
}

// ErrPasswordRequired is for a link, or a code, that is good.
var ErrPasswordRequired = fault.New(fault.Denied, "password_required",
	"The link or the code is good. This is not the browser that registered, so please give the account's password as well. If you did not choose one, "+
		"somebody else has registered your address: set a password by \"Forgot password\", and the account is yours alone.")

// ErrWrongPassword is for who is signed in and is asked for their password.
var ErrWrongPassword = fault.New(fault.Denied, "wrong_password", "This is not the account's current password.")

// Do verifies. who is signed in, if somebody is.
func (f *Verify) Do(ctx context.Context, in LinkOrCode, pass string, who Identity, b *Browser, from event.Origin) (Begun, error) {
	ctx, run := f.Count.Begin(ctx, "verify_email")
	begun, err := f.do(ctx, in, pass, who, b, from)
	return begun, run.End(pressedTwice(err))
}

func (f *Verify) do(ctx context.Context, in LinkOrCode, pass string, who Identity, b *Browser, from event.Origin) (begun Begun, err error) {
	t, err := f.find(ctx, in, event.EmailVerification, from, ticket.Verify, ticket.Change)
	if errors.Is(err, ticket.ErrLink) && !errors.Is(err, ticket.ErrUsed) {
		t, err = f.invitation(ctx, in, from)
	}
	if err != nil {
		return begun, err
	}
	if t.Purpose == ticket.Invite {
		return f.accept(ctx, t, from)
	}
	h, err := f.holder(ctx, t.Account)
	if err != nil {
		return begun, err
	}
	var try lockout.Try
	proved := who.Account == t.Account
	if t.Purpose == ticket.Verify && b != nil && secret.Equal([]byte(b.Registered), []byte(registered(f.Key(), t.Account))) {
		proved = true
	}
	if !proved && h.Hash == "" {
		if t.Purpose == ticket.Change {
			return begun, errSignInHere
		}
		proved = true // there is no password that somebody else could have chosen
	}
	if !proved {
		if pass == "" {
			return begun, ErrPasswordRequired
		}
		var end func()
		if try, end, err = f.checkPassword(ctx, h, h.Hash, pass, b, ErrWrongPassword, from); err != nil {
			return begun, err
		}
		defer end()
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		if !proved {
			f.reauthenticated(tx, try, h.ID, who.Session, from)
		}
		if t.Purpose == ticket.Change {
			return f.changeAddress(tx, t, from)
		}
		err := f.confirm(tx, t, from)
		if err == nil {
			begun, err = f.beginPasskey(tx, t, f.Now(), from)
		}
		return err
	})
	if err != nil && !proved {
		f.Guard.giveBack(ctx, try) // it was right
	}
	return begun, taken(err)
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
// is anything to verify: the request that its code is good with is always there.
func (f *Verify) Resend(ctx context.Context, email string, from event.Origin) (request string, err error) {
	ctx, run := f.Count.Begin(ctx, "resend_verification")
	request = f.Tickets.NewRequest()
	return request, run.End(f.forAddress(ctx, email, from, func(tx *db.Tx, h account.Holder, a account.Address, now time.Time) error {
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
		return f.Guard.Notices.Send(tx, f.VerifyMail(tx, h, request, now), from)
	}))
}

// VerifyMail is the mail to somebody who has just registered, or asks again; without a
// request it has a link alone.
func (l *EmailLinks) VerifyMail(tx *db.Tx, h account.Holder, request string, now time.Time) notice.Mail {
	return l.Mail(tx, notice.VerifyAddress, "/verify", h, ticket.Ticket{
		Purpose: ticket.Verify, Address: h.Email, AddressKey: h.Key, Request: request,
	}, now)
}

// forAddress does something for the account with the address; without one, h has
// no id. The answer takes the same time.
func (l *EmailLinks) forAddress(ctx context.Context, email string, from event.Origin, do func(tx *db.Tx, h account.Holder, a account.Address,
	now time.Time) error) error {
	if email == "" {
		return Required("email")
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
