package flow

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// An account without a password has an empty hash, for which [password.Verify] does a comparison's work. One function (waysin.go)
// counts what is left before a factor or the password goes, under the account's row. A fresh sign-in stands in for the current
// password. Where there was none for seven days nothing opens an undo, and the mail has no link. An invitation's link opens an
// account with a password or without, whichever comes first.

var (
	errPasswordlessOff = fault.New(fault.Conflict, "passwordless_off", "This service asks every account for a password.")
	errNoPassword      = fault.New(fault.Conflict, "no_password", "This account has no password already.")
	errNoneToShow      = fault.Field("current_password", "no_password",
		"This account has no password: leave this out. A fresh sign-in with a passkey does in its place.")
	// ErrPasskeyStepUp is for who has signed in without a passkey: see [RemovingPassword].
	ErrPasskeyStepUp = fault.New(fault.Denied, "step_up_required",
		"This needs a sign-in with a passkey. Please sign in again with one, and repeat it with the new session.")
	errSignInHere = fault.New(fault.Denied, "sign_in_first",
		"The link or the code is good, and the account has no password to show beside it. Please sign in in this browser first, and open the link once more.")
)

// RemovingPassword is how strong and how fresh a sign-in must be that removes the password.
var RemovingPassword = Asked{ACR: token.PhishingResistant, MaxAge: FreshSignIn}

// RemovePassword takes the password away of whoever is signed in with a passkey: from then on passkeys are how they
// sign in. The other sessions end. A password can be set again by a mail, or by a fresh sign-in; it opens the
// first step alone. The password that goes opens for seven days what any other of that time does: see [account.KeepChanged].
func (f *Factors) RemovePassword(ctx context.Context, who Identity, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "remove_password")
	return run.End(f.removePassword(ctx, who, from))
}

func (f *Factors) removePassword(ctx context.Context, who Identity, from event.Origin) error {
	c, err := f.changer(ctx, who)
	switch {
	case err != nil:
		return err
	case !f.Passwordless:
		return errPasswordlessOff
	case !token.Satisfies(token.ACR(who.AMR), token.PhishingResistant):
		return ErrPasskeyStepUp
	case c.Hash == "":
		return errNoPassword
	}
	return changedMeanwhile(f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		old, ok, err := account.HoldPassword(tx, c.ID, c.PasswordN, false)
		if err == nil && !ok {
			err = account.ErrNotFound
		}
		if err != nil {
			return err
		}
		own, err := factor.Own(tx, c.ID)
		if err == nil {
			err = f.mayGoWithout(waysIn{own: own, roles: c.Roles})
		}
		if err == nil {
			err = account.KeepChanged(tx, old, now)
		}
		if err == nil {
			ok, err = account.RemovePassword(tx, c.ID, c.PasswordN, c.FactorN, now)
		}
		if err == nil && !ok {
			err = account.ErrNotFound
		}
		if err != nil {
			return err
		}
		return f.passwordGone(tx, c, who, now, from)
	}))
}

// passwordGone does what follows, as on every new password.
func (f *Factors) passwordGone(tx *db.Tx, c account.Credentials, who Identity, now time.Time, from event.Origin) error {
	if err := f.endSessions(tx, c.ID, who.Session, "password_removed", from); err != nil {
		return err
	}
	if err := ticket.Void(tx, c.ID); err != nil {
		return err
	}
	if err := f.Guard.Lockout.Clear(tx, c.Key); err != nil {
		return err
	}
	f.Guard.Events.Append(tx, event.Event{
		Kind: event.PasswordRemoved, Outcome: event.Success, Account: c.ID, Session: who.Session, Origin: from, Detail: event.Detail{AMR: who.AMR},
	})
	return f.tell(tx, c.ID, notice.Mail{Kind: notice.PasswordRemoved, At: now}, from)
}

// PasswordState is what somebody's account has for a password.
type PasswordState struct {
	Has bool
	// Offered is whether it can go at all, and Lacks that there is too little beside it for now.
	Offered, Lacks bool
}

// Password returns it.
func (f *Factors) Password(ctx context.Context, who Identity) (s PasswordState, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		c, err := account.CredentialsOf(tx, who.Account)
		if err != nil {
			return err
		}
		s.Has = c.Hash != ""
		if s.Offered = s.Has && f.Passwordless && f.Keys != nil; !s.Offered {
			return nil
		}
		own, err := factor.Own(tx, who.Account)
		s.Lacks = f.mayGoWithout(waysIn{own: own, roles: c.Roles}) != nil
		return err
	})
	return s, err
}

// asksCurrent refuses a change of the password or the address by a session that does not do, or without what is asked
// for beside it: the current password, where the account has one.
func (l *EmailLinks) asksCurrent(who Identity, h account.Holder, current string) error {
	switch {
	case h.Hash == "" && current != "":
		return errNoneToShow
	case h.Hash == "":
		return IsFresh(who, h.Factors, l.Now())
	case current == "":
		return Required("current_password")
	}
	return l.freshIfFactors(who, h)
}

// shown is the current password that a call has shown, or that there is none to show.
type shown struct {
	try  lockout.Try
	none bool
	// end lets the next try of this client begin.
	end func()
}

// checkCurrent compares the current password, where there is one. The caller ends it with [EmailLinks.showed], or gives
// it back.
func (l *EmailLinks) checkCurrent(ctx context.Context, h account.Holder, current string, b *Browser, from event.Origin) (s shown, err error) {
	if h.Hash == "" {
		return shown{none: true, end: func() {}}, nil
	}
	s.try, s.end, err = l.checkPassword(ctx, h, h.Hash, current, b, ErrWrongPassword, from)
	return s, err
}

// showed ends a try that was right.
func (l *EmailLinks) showed(tx *db.Tx, s shown, id, session string, from event.Origin) {
	if !s.none {
		l.reauthenticated(tx, s.try, id, session, from)
	}
}

// proof is what an event says of how a change was allowed.
func (s shown) proof(who Identity) []string {
	if s.none {
		return slices.Clone(who.AMR)
	}
	return []string{amrPassword}
}

// opensUndo reports whether the account has had a password within the time of an undo: else nothing opens one.
func opensUndo(tx *db.Tx, h account.Holder, now time.Time) (bool, error) {
	if h.Hash != "" {
		return true, nil
	}
	former, err := account.ChangedSince(tx, h.ID, now)
	return len(former) > 0, err
}

// Begun is a sign-in that goes on where an address was verified: an account without a password adds its first passkey.
// Its token is empty where nothing goes on.
type Begun struct {
	Token string
	Life  time.Duration
}

// beginPasskey makes the sign-in in which somebody adds the first passkey who has registered without a password. The
// mail that verified the address is what it has shown.
func (f *Verify) beginPasskey(tx *db.Tx, t ticket.Ticket, now time.Time, from event.Origin) (b Begun, err error) {
	who, err := account.CredentialsOf(tx, t.Account)
	if errors.Is(err, account.ErrNotFound) {
		return b, ticket.ErrLink
	}
	if err != nil || !f.Passwordless || t.Purpose != ticket.Verify && t.Purpose != ticket.Invite || who.Hash != "" || who.Factors > 0 || who.MustReset {
		return b, err
	}
	b.Life = factor.PendingLife
	b.Token = f.Factors.Begin(tx, factor.Pending{
		Account: who.ID, Want: factor.Enrol, Proof: factor.ByMail, AMR: []string{}, PasswordN: who.PasswordN, FactorN: who.FactorN,
		Network: event.Network(from.Address).String(),
	}, now)
	f.Guard.Events.Append(tx, event.Event{
		Kind: event.SecondStepAsked, Outcome: event.Success, Account: who.ID, Origin: from, Detail: event.Detail{By: ByMail},
	})
	return b, nil
}

// invitation is the ticket of a link that invites somebody: where people may go without a password it opens the account
// without one.
func (f *Verify) invitation(ctx context.Context, in LinkOrCode, from event.Origin) (t ticket.Ticket, err error) {
	if !f.Passwordless || in.Token == "" {
		return t, ticket.ErrLink
	}
	return f.find(ctx, in, event.EmailVerification, from, ticket.Invite, ticket.Invite)
}

// accept opens an account for who was invited and wants no password: the link has shown that the address is theirs. The
// one that nobody knows goes, and the first passkey is added in the sign-in that it begins.
func (f *Verify) accept(ctx context.Context, t ticket.Ticket, from event.Origin) (begun Begun, err error) {
	if err := f.Lockdown.Pass(lockdown.Changes); err != nil {
		return begun, err // the passkey could not be added, and the link would be spent
	}
	h, err := f.holder(ctx, t.Account)
	if err != nil {
		return begun, err
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		old, ok, err := account.HoldPassword(tx, h.ID, t.PasswordN, true)
		if err == nil && (!ok || t.AddressKey != h.Key) {
			err = ticket.Gone(tx, t)
		}
		if err == nil {
			err = f.putByMail(tx, t, old, &h, "", now, from)
		}
		if err == nil {
			err = f.voidPassword(tx, h, "", from)
		}
		if err != nil {
			return err
		}
		f.Guard.Events.Append(tx, event.Event{
			Kind: event.EmailVerification, Outcome: event.Success, Account: h.ID, Origin: from, Detail: event.Detail{Reason: "invited"},
		})
		begun, err = f.beginPasskey(tx, t, now, from)
		return err
	})
	return begun, err
}

// ByMail is the By of a sign-in that began with a mail.
const ByMail = "mail"
