package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
)

// Passwords gives people new passwords: who forgot theirs by a mail, who is signed
// in by the current one.
type Passwords struct{ *EmailLinks }

// ErrPasswordUnchanged is for a new password that is the old one.
var ErrPasswordUnchanged = fault.Field("new_password", "password_unchanged", "This is the password that the account has already. Please choose another.")

// ErrChangedMeanwhile is for who is asked for a password that was just replaced.
var ErrChangedMeanwhile = fault.New(fault.Conflict, "changed_meanwhile", "The account has been changed in the meantime. Please try again.")

// Forgot sends the way to a new password, if there is an account with the address,
// and tells nobody whether there is: the request that its code is good with is always
// there.
func (f *Passwords) Forgot(ctx context.Context, email string, from event.Origin) (request string, err error) {
	ctx, run := f.Count.Begin(ctx, "forgot_password")
	request = f.Tickets.NewRequest()
	return request, run.End(f.forAddress(ctx, email, from, func(tx *db.Tx, h account.Holder, a account.Address, now time.Time) error {
		e := event.Event{
			Kind: event.PasswordReset, Outcome: event.Success, Account: h.ID, Origin: from,
			Detail: event.Detail{Address: addressHash(f.Guard.Pseudonym, a.Key)},
		}
		if !h.Verified { // nobody is here, or somebody who only claims the address
			id, sent, err := f.sendWayBack(tx, a, shareReset, now, from)
			if err != nil {
				return err
			}
			if sent {
				e.Account, e.Detail.Reason = id, "undo_mailed"
				f.Guard.Events.Append(tx, e)
				return nil
			}
		}
		switch {
		case h.ID == "":
			e.Outcome, e.Detail.Reason = event.Failure, "unknown_account"
		case h.Disabled:
			e.Outcome, e.Detail.Reason = event.Failure, "account_disabled"
		default:
			ok, err := f.Limits.affords(tx, shareReset, h.Key, from, now)
			if err != nil {
				return err
			}
			if !ok {
				e.Outcome, e.Detail.Reason = event.Failure, "too_many_mails"
			}
		}
		f.Guard.Events.Append(tx, e)
		if e.Outcome == event.Failure {
			return nil
		}
		return f.Guard.Notices.Send(tx, f.resetMail(tx, h, request, now), from)
	}))
}

// resetMail is the mail with the way to a new password.
func (l *EmailLinks) resetMail(tx *db.Tx, h account.Holder, request string, now time.Time) notice.Mail {
	return l.Mail(tx, notice.ResetPassword, "/reset", h, ticket.Ticket{
		Purpose: ticket.Reset, Address: h.Email, AddressKey: h.Key, Request: request,
	}, now)
}

// Reset sets a new password for whoever shows what was mailed. All sessions end,
// and no browser is known any more; it signs nobody in. Whoever could read the mail
// has shown that the address is theirs.
func (f *Passwords) Reset(ctx context.Context, in LinkOrCode, pass string, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "reset_password")
	return run.End(pressedTwice(f.reset(ctx, in, pass, from)))
}

func (f *Passwords) reset(ctx context.Context, in LinkOrCode, pass string, from event.Origin) error {
	if pass == "" {
		return Required("new_password")
	}
	if in.Token == "" { // before a try at the code is counted
		if _, err := f.Policy.Check(ctx, "new_password", pass, in.Email); err != nil {
			return err
		}
	}
	t, err := f.find(ctx, in, event.PasswordReset, from, ticket.Reset, ticket.Invite)
	if errors.Is(err, ticket.ErrUsed) {
		return f.sameReset(ctx, t, pass, err, from)
	}
	if err != nil {
		return err
	}
	h, err := f.holder(ctx, t.Account)
	if err != nil {
		return err
	}
	hash := ""
	if t.PasswordN == h.PasswordN && t.AddressKey == h.Key {
		if hash, err = f.newHash(ctx, h, pass); err != nil {
			return err
		}
	}
	var forgiven int
	err = f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		if forgiven, err = f.Guard.Lockout.Tried(tx, h.Key, event.Site(from.Address)); err != nil {
			return err
		}
		return f.setByMail(tx, t, h, hash, from)
	})
	if errors.Is(err, ticket.ErrUsed) {
		return f.sameReset(ctx, t, pass, err, from)
	}
	if err == nil {
		f.Limits.forgive(ctx, from, forgiven)
	}
	return err
}

// setByMail sets the new password of a reset. The hash is empty if there was nothing to
// reset any more when it was looked at.
func (f *Passwords) setByMail(tx *db.Tx, t ticket.Ticket, h account.Holder, hash string, from event.Origin) error {
	now := f.Now()
	old, ok, err := account.HoldPassword(tx, h.ID, t.PasswordN, true)
	if err == nil && (!ok || hash == "") {
		err = ticket.Gone(tx, t)
	}
	if err != nil {
		return err
	}
	if err := f.putByMail(tx, t, old, &h, hash, now, from); err != nil {
		return err
	}
	return f.passwordReplaced(tx, h, "", "reset", now, from)
}

// putByMail puts what a mail's link sets in the place of the password: another, or none.
func (l *EmailLinks) putByMail(tx *db.Tx, t ticket.Ticket, old account.Standing, h *account.Holder, hash string, now time.Time, from event.Origin) error {
	if err := ticket.Consume(tx, t, now); err != nil {
		return err
	}
	if err := keepReset(tx, old, h.ID, now); err != nil {
		return err
	}
	ok, err := account.SetPassword(tx, h.ID, t.PasswordN, hash, true, now)
	if err == nil && !ok {
		err = ticket.ErrLink
	}
	if err != nil {
		return err
	}
	if err := l.Guard.keep(tx, h.ID, "reset", from); err != nil {
		return err
	}
	if err := ForgetDevices(tx, h.ID); err != nil {
		return err
	}
	if h.Verified {
		return nil
	}
	h.Name, h.Locale = "", "" // somebody else may have chosen them, agreed to documents, and linked an account of theirs
	if err := l.dropIdentities(tx, h.ID, time.Time{}, "reset", from); err != nil {
		return err
	}
	_, err = consent.Erase(tx, h.ID)
	return err
}

// keepReset keeps a password that a reset replaces for those undos that it still opens.
func keepReset(tx *db.Tx, old account.Standing, id string, now time.Time) error {
	undos, err := ticket.Undos(tx, id, now)
	if err != nil {
		return err
	}
	var living []int64
	for _, u := range undos {
		living = append(living, u.Seq)
	}
	return account.KeepReset(tx, old, living, now)
}

// sameReset is the second press of a reset that was done: used if the password is the
// one that it set, or else ErrLink, since this one was not set. It counts as a try at
// the password, or a used link would let its holder guess.
func (f *Passwords) sameReset(ctx context.Context, t ticket.Ticket, pass string, used error, from event.Origin) error {
	h, err := f.holder(ctx, t.Account)
	if err != nil {
		return err
	}
	if t.AddressKey != h.Key {
		return ticket.ErrLink
	}
	try, end, err := f.checkPassword(ctx, h, h.Hash, pass, nil, ticket.ErrLink, from)
	if err != nil {
		return err
	}
	defer end()
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		f.reauthenticated(tx, try, h.ID, "", from)
		return nil
	})
	if err == nil {
		err = used
	}
	return err
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
// are void, guesses at the old one don't count, and the owner is notified.
func (f *Passwords) passwordReplaced(tx *db.Tx, h account.Holder, keep, why string, now time.Time, from event.Origin) error {
	if err := f.voidPassword(tx, h, keep, from); err != nil {
		return err
	}
	detail := event.Detail{Reason: why}
	if why == "changed" {
		detail.AMR = []string{"pwd"} // current_password was asked for, and was right (ASVS 16.3.1)
	}
	f.Guard.Events.Append(tx, event.Event{
		Kind: event.PasswordChange, Outcome: event.Success, Account: h.ID, Session: keep, Origin: from, Detail: detail,
	})
	m := notice.Mail{Kind: notice.PasswordChanged, Account: h.ID, To: h.Email, Name: h.Name, Locale: h.Locale, At: now}
	if why == "reset" { // whoever has linked one goes on signing in by it
		list, err := upstream.Of(tx, h.ID)
		if err != nil {
			return err
		}
		m.Providers = f.named(list)
	}
	return f.Guard.Notices.Send(tx, m, from)
}

// voidPassword ends what the password has opened.
func (l *EmailLinks) voidPassword(tx *db.Tx, h account.Holder, keep string, from event.Origin) error {
	if err := l.endSessions(tx, h.ID, keep, "password_change", from); err != nil {
		return err
	}
	if err := ticket.Void(tx, h.ID); err != nil {
		return err
	}
	return l.Guard.Lockout.Clear(tx, h.Key)
}

// Change replaces the password of whoever is signed in and knows it. The other
// sessions end.
func (f *Passwords) Change(ctx context.Context, who Identity, current, pass string, b *Browser, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "change_password")
	return run.End(f.change(ctx, who, current, pass, b, from))
}

func (f *Passwords) change(ctx context.Context, who Identity, current, pass string, b *Browser, from event.Origin) error {
	if pass == "" {
		return Required("new_password")
	}
	h, err := f.ownAccount(ctx, who)
	if err != nil {
		return err
	}
	if err := f.asksCurrent(who, h, current); err != nil {
		return err
	}
	// A password that would be refused anyway costs no try.
	if _, err := f.Policy.Check(ctx, "new_password", pass, h.Email, h.Name); err != nil {
		return err
	}
	s, err := f.checkCurrent(ctx, h, current, b, from)
	if err != nil {
		return err
	}
	defer s.end()
	if err = f.replace(ctx, who, h, pass, s, from); err != nil && !s.none {
		f.Guard.giveBack(ctx, s.try) // it was right
	}
	return err
}

// replace sets the new password of whoever has shown the current one, or has none.
func (f *Passwords) replace(ctx context.Context, who Identity, h account.Holder, pass string, s shown, from event.Origin) error {
	hash, err := f.newHash(ctx, h, pass)
	if err != nil {
		return err
	}
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		old, ok, err := account.HoldPassword(tx, h.ID, h.PasswordN, false)
		if err == nil && ok {
			if err = account.KeepChanged(tx, old, now); err == nil {
				ok, err = account.SetPassword(tx, h.ID, h.PasswordN, hash, false, now)
			}
		}
		if err == nil && !ok {
			err = ErrChangedMeanwhile
		}
		if err != nil {
			return err
		}
		f.showed(tx, s, h.ID, who.Session, from)
		why := "changed"
		if s.none {
			why = "added"
		}
		return f.passwordReplaced(tx, h, who.Session, why, now, from)
	})
}

// freshIfFactors refuses a session that does not do for a change of the password or the address. Where
// there is no second factor, the current password in the call is as good as a fresh sign-in.
func (l *EmailLinks) freshIfFactors(who Identity, h account.Holder) error {
	if h.Factors == 0 {
		return nil
	}
	return IsFresh(who, h.Factors, l.Now())
}

// ownAccount returns the account of whoever is signed in.
func (l *EmailLinks) ownAccount(ctx context.Context, who Identity) (h account.Holder, err error) {
	err = l.DB.Read(ctx, func(tx *db.Tx) error {
		h, err = account.HolderByID(tx, who.Account)
		return err
	})
	return h, err
}
