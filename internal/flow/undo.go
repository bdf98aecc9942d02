package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
)

// Undo takes a change of address back, and every later one, for who shows the link
// that the old address got and knows a password that the account had within seven
// days. That password may have been what somebody else got hold of, so all sessions
// end, second factors that were added since the change are removed, and a new
// password must be set by the mail that the old address gets. Nothing that was mailed
// to the addresses in between works any more. The request is what the code in that
// mail is good with.
func (f *Addresses) Undo(ctx context.Context, token, pass string, b *Browser, from event.Origin) (request string, err error) {
	ctx, run := f.Count.Begin(ctx, "undo_email")
	request = f.Tickets.NewRequest()
	return request, run.End(pressedTwice(f.undo(ctx, token, pass, request, b, from)))
}

// errWrongOldPassword is for an undo.
var errWrongOldPassword = fault.New(fault.Denied, "wrong_password",
	"This is not a password that the account had within the last seven days, or a password reset has ruled it out since.")

func (f *Addresses) undo(ctx context.Context, token, pass, request string, b *Browser, from event.Origin) error {
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
	t, err := f.find(ctx, LinkOrCode{Token: token}, event.EmailChange, from, ticket.Undo, ticket.Undo)
	if err != nil {
		return err
	}
	h, err := f.holder(ctx, t.Account)
	if err != nil {
		return err
	}
	hashes, err := f.openers(ctx, t)
	if err != nil {
		return err
	}
	// Guesses count by themselves: strangers who guess at the address, and lock it for
	// sign-ins, don't lock out who has the link.
	h.Email, h.Key = t.Address, "undo "+t.Account
	try, end, err := f.checkAnyPassword(ctx, h, hashes, pass, b, errWrongOldPassword, from)
	if err != nil {
		return err
	}
	defer end()
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		f.reauthenticated(tx, try, t.Account, "", from)
		return f.restore(tx, t, request, from)
	})
	if err != nil {
		f.Guard.giveBack(ctx, try) // it was right
	}
	return taken(err)
}

// openers returns the stored hashes of the passwords that open an undo.
func (f *Addresses) openers(ctx context.Context, t ticket.Ticket) (hashes []string, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		hashes, err = account.Openers(tx, t.Account, t.Seq, f.Now())
		return err
	})
	if err == nil && t.OldHash != "" {
		hashes = append(hashes, t.OldHash)
	}
	return hashes, err
}

// restore gives the account its old address back. It asks nothing of the password
// that stands now: whoever holds the account meanwhile may replace it at any moment,
// and the undo wins.
func (f *Addresses) restore(tx *db.Tx, t ticket.Ticket, request string, from event.Origin) error {
	now := f.Now()
	h, err := account.Recover(tx, t.Account, now)
	if errors.Is(err, account.ErrNotFound) {
		return ticket.ErrLink
	}
	if err != nil {
		return err
	}
	undone, err := ticket.UseUndo(tx, t, now)
	if err != nil {
		return err
	}
	if err := f.displaceClaim(tx, t.AddressKey, h.ID, now, from); err != nil {
		return err
	}
	kept, err := account.ClearErase(tx, h.ID)
	if err != nil {
		return err
	}
	_, ok, err := account.SetAddress(tx, h.ID, h.PasswordN, t.Address, t.AddressKey, now)
	if err == nil && !ok {
		err = ticket.ErrLink
	}
	if err != nil {
		return err
	}
	if err := f.removeSince(tx, h, t.Made(), from); err != nil {
		return err
	}
	for _, address := range append(undone, h.Email) {
		if address == t.Address {
			continue
		}
		if err := notice.Withdraw(tx, h.ID, address, now); err != nil {
			return err
		}
	}
	if err := f.endSessions(tx, h.ID, "", "email_undone", from); err != nil {
		return err
	}
	if err := ForgetDevices(tx, h.ID); err != nil {
		return err
	}
	if kept { // told at the address that is back
		if err := f.Guard.kept(tx, h.ID, event.Detail{Reason: "undone"}, from); err != nil {
			return err
		}
	}
	f.Guard.Events.Append(tx, event.Event{
		Kind: event.EmailChange, Outcome: event.Success, Account: h.ID, Origin: from,
		Detail: event.Detail{Reason: "undone", Address: addressHash(f.Guard.Pseudonym, t.AddressKey), AMR: []string{"pwd"}},
	})
	h.Email, h.Key = t.Address, t.AddressKey
	return f.Guard.Notices.Send(tx, f.resetMail(tx, h, request, now), from)
}

// displaceClaim ends the account that has an address and never was verified, since
// somebody shows now that the mailbox is theirs: a claim weighs less than a proof.
func (l *EmailLinks) displaceClaim(tx *db.Tx, key, by string, now time.Time, from event.Origin) error {
	id, err := account.Displace(tx, key, by, now)
	if err != nil || id == "" {
		return err
	}
	if err := ticket.VoidAll(tx, id); err != nil {
		return err
	}
	if err := l.endSessions(tx, id, "", "account_displaced", from); err != nil {
		return err
	}
	if err := ForgetDevices(tx, id); err != nil {
		return err
	}
	l.Guard.Events.Append(tx, event.Event{
		Kind: event.AccountDisplaced, Outcome: event.Success, Account: id, Origin: from,
		Detail: event.Detail{Reason: "never_verified", Address: addressHash(l.Guard.Pseudonym, key)},
	})
	return nil
}

// ErrHeld is for an address that an undo turns out to lead to, after it was taken.
var ErrHeld = errors.New("an undo leads to this address")

// HeldByUndo returns ErrHeld for an address that was taken in this transaction,
// and that a living undo leads to. Asked after it was taken, it sees an undo that
// was made in the same moment as well.
func HeldByUndo(tx *db.Tx, key string, now time.Time) error {
	_, held, err := ticket.UndoTo(tx, key, now)
	if err == nil && held {
		err = ErrHeld
	}
	return err
}

// sendWayBack sends the mail with the undo that leads to the address once more, if
// there is one, and reports whether there is: whoever asks there for an account, or
// for a new password, may have lost the first. The account is its.
//
// What the mailbox's share does not afford is left out: it has the mails before.
func (l *EmailLinks) sendWayBack(tx *db.Tx, a account.Address, share string, now time.Time, from event.Origin) (accountID string, leads bool, err error) {
	t, found, err := ticket.UndoTo(tx, a.Key, now)
	if err != nil || !found {
		return "", false, err
	}
	h, err := account.HolderByID(tx, t.Account)
	if errors.Is(err, account.ErrNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	if ok, err := l.Limits.affords(tx, share, a.Key, from, now); err != nil || !ok {
		return h.ID, true, err
	}
	m, err := l.wayBack(tx, h, t, h.Email, now)
	if err != nil {
		return h.ID, true, err
	}
	return h.ID, true, l.Guard.Notices.Send(tx, m, from)
}

// wayBack is the mail to the address that an undo leads to, with its link. "This
// wasn't me" leads there as well: to demand a reset would only send the new address
// a mail. Where the account had no password in that time nothing opens an undo: the mail has no link, and
// the address is held all the same.
func (l *EmailLinks) wayBack(tx *db.Tx, h account.Holder, t ticket.Ticket, newAddress string, now time.Time) (notice.Mail, error) {
	life := t.Purpose.Life()
	if !t.Until.IsZero() {
		life = wholeDays(t.Until.Sub(now))
	}
	undo := l.link("/undo", l.Tickets.Issue(tx, t, now).Token)
	m := notice.Mail{
		Kind: notice.AddressChanged, Account: h.ID, To: t.Address, Name: h.Name, Locale: h.Locale, At: now, NewAddress: newAddress,
	}
	opens, err := opensUndo(tx, h, now)
	if opens {
		m.Undo, m.UndoLife, m.NotMe = undo, life, undo
	}
	return m, err
}

// wholeDays rounds a time that is left down, to say it: to days, or hours, or minutes.
func wholeDays(d time.Duration) time.Duration {
	for _, unit := range []time.Duration{24 * time.Hour, time.Hour} {
		if d >= 2*unit {
			return d.Truncate(unit)
		}
	}
	return max(d.Truncate(time.Minute), time.Minute)
}
