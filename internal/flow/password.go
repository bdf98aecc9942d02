package flow

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
)

// Passwords gives people new passwords: who forgot theirs by a mail, who is signed
// in by the current one.
type Passwords struct{ *EmailLinks }

// ErrPasswordUnchanged is for a new password that is the old one.
var ErrPasswordUnchanged = fault.Field("new_password", "password_unchanged", "This is the password that the account has already. Please choose another.")

// errChangedMeanwhile is for who is asked for a password that was just replaced.
var errChangedMeanwhile = fault.New(fault.Conflict, "changed_meanwhile", "The account has changed meanwhile. Please try again.")

// Forgot sends the way to a new password, if there is an account with the address,
// and tells nobody whether there is.
func (f *Passwords) Forgot(ctx context.Context, email string, from event.Origin) error {
	ctx, run := f.Count.begin(ctx, "forgot_password")
	return run.end(f.forAddress(ctx, email, from, func(tx *db.Tx, h account.Holder, a account.Address, now time.Time) error {
		e := event.Event{
			Kind: event.PasswordReset, Outcome: event.Success, Account: h.ID, Origin: from,
			Detail: event.Detail{Address: addressHash(f.Guard.Pseudonym, a.Key)},
		}
		switch {
		case h.ID == "":
			e.Outcome, e.Detail.Reason = event.Failure, "unknown_account"
		case h.Disabled:
			e.Outcome, e.Detail.Reason = event.Failure, "account_disabled"
		}
		f.Guard.Events.Append(tx, e)
		if e.Outcome == event.Failure {
			return nil
		}
		return f.Guard.Notices.Send(tx, f.resetMail(tx, h, now), from)
	}))
}

// resetMail is the mail with the way to a new password.
func (l *EmailLinks) resetMail(tx *db.Tx, h account.Holder, now time.Time) notice.Mail {
	return l.mail(tx, notice.ResetPassword, "/reset", h, ticket.Ticket{Purpose: ticket.Reset, Address: h.Email, AddressKey: h.Key}, now)
}

// Reset sets a new password for whoever shows what was mailed. All sessions end,
// and no browser is known any more; it signs nobody in. Whoever could read the mail
// has shown that the address is theirs.
func (f *Passwords) Reset(ctx context.Context, in LinkOrCode, pass string, from event.Origin) error {
	ctx, run := f.Count.begin(ctx, "reset_password")
	return run.end(f.reset(ctx, in, pass, from))
}

func (f *Passwords) reset(ctx context.Context, in LinkOrCode, pass string, from event.Origin) error {
	if pass == "" {
		return required("new_password")
	}
	if in.Token == "" { // before a try at the code is counted
		if _, err := f.Policy.Check(ctx, "new_password", pass, in.Email); err != nil {
			return err
		}
	}
	t, err := f.find(ctx, in, event.PasswordReset, from, ticket.Reset, ticket.Reset)
	if err != nil {
		return err
	}
	h, err := f.holder(ctx, t.Account)
	if err != nil {
		return err
	}
	if t.PasswordN != h.PasswordN || t.AddressKey != h.Key {
		return ticket.ErrLink
	}
	hash, err := f.newHash(ctx, h, pass)
	if err != nil {
		return err
	}
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		// Whoever registered the address chose the name, and need not be its owner.
		if err := account.ForgetUnverifiedProfile(tx, h.ID); err != nil {
			return err
		}
		ok, err := account.SetPassword(tx, h.ID, t.PasswordN, hash, true, now)
		if err == nil && !ok {
			err = ticket.ErrLink
		}
		if err != nil {
			return err
		}
		if err := ticket.Consume(tx, t, now); err != nil {
			return err
		}
		if err := forgetDevices(tx, h.ID); err != nil {
			return err
		}
		return f.passwordReplaced(tx, h, "", "reset", now, from)
	})
}

// newHash returns the stored form of a new password that the policy accepts and
// that is not the current one.
func (f *Passwords) newHash(ctx context.Context, h account.Holder, pass string) (string, error) {
	if _, err := f.Policy.Check(ctx, "new_password", pass, h.Email, h.Name); err != nil {
		return "", err
	}
	same, err := f.Hasher.Verify(ctx, h.ID, h.Hash, pass)
	if err == nil && same.OK {
		err = ErrPasswordUnchanged
	}
	if err != nil {
		return "", err
	}
	return f.Hasher.Hash(ctx, h.ID, pass)
}

// passwordReplaced does what follows on every new password: the other sessions end, links
// are void, guesses at the old one don't count, and the owner is told.
func (f *Passwords) passwordReplaced(tx *db.Tx, h account.Holder, keep, why string, now time.Time, from event.Origin) error {
	if err := f.endSessions(tx, h.ID, keep, "password_change", from); err != nil {
		return err
	}
	if err := ticket.Void(tx, h.ID); err != nil {
		return err
	}
	if err := f.Guard.Lockout.Clear(tx, h.Key); err != nil {
		return err
	}
	f.Guard.Events.Append(tx, event.Event{
		Kind: event.PasswordChange, Outcome: event.Success, Account: h.ID, Session: keep, Origin: from, Detail: event.Detail{Reason: why},
	})
	return f.Guard.Notices.Send(tx, notice.Mail{
		Kind: notice.PasswordChanged, Account: h.ID, To: h.Email, Name: h.Name, Locale: h.Locale, At: now,
	}, from)
}

// Change replaces the password of whoever is signed in and knows it. The other
// sessions end.
func (f *Passwords) Change(ctx context.Context, who Identity, current, pass string, b *Browser, from event.Origin) error {
	ctx, run := f.Count.begin(ctx, "change_password")
	return run.end(f.change(ctx, who, current, pass, b, from))
}

func (f *Passwords) change(ctx context.Context, who Identity, current, pass string, b *Browser, from event.Origin) error {
	if current == "" {
		return required("current_password")
	}
	if pass == "" {
		return required("new_password")
	}
	h, err := f.ownAccount(ctx, who)
	if err != nil {
		return err
	}
	// A password that would be refused anyway costs no try.
	if _, err := f.Policy.Check(ctx, "new_password", pass, h.Email, h.Name); err != nil {
		return err
	}
	try, err := f.checkPassword(ctx, h, h.Hash, current, b, ErrWrongPassword, from)
	if err != nil {
		return err
	}
	hash, err := f.newHash(ctx, h, pass)
	if err != nil {
		return err
	}
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		ok, err := account.SetPassword(tx, h.ID, h.PasswordN, hash, false, now)
		if err == nil && !ok {
			err = errChangedMeanwhile
		}
		if err != nil {
			return err
		}
		f.Guard.succeeded(tx, try)
		return f.passwordReplaced(tx, h, who.Session, "changed", now, from)
	})
}

// ownAccount returns the account of whoever is signed in.
func (l *EmailLinks) ownAccount(ctx context.Context, who Identity) (h account.Holder, err error) {
	err = l.DB.Read(ctx, func(tx *db.Tx) error {
		h, err = account.HolderByID(tx, who.Account)
		return err
	})
	return h, err
}
