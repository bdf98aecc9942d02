package flow

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

// newSignInMost is from how many devices and networks an account is signed in to
// within a day before its owner hears of no more: whoever has the password, and many
// addresses, can't fill the mailbox.
const newSignInMost = 10

// startOf is what a session begins with that somebody begins from there.
func startOf(accountID string, roles, amr []string, from event.Origin) session.Start {
	b := session.Start{Account: accountID, Roles: roles, AMR: amr, UserAgent: from.UserAgent, Device: notice.Device(from.UserAgent)}
	if from.Address.IsValid() {
		b.Address, b.Network = AddressOf(from), event.Network(from.Address).String()
	}
	return b
}

// AddressOf is where somebody is, or nothing.
func AddressOf(from event.Origin) string {
	if !from.Address.IsValid() {
		return ""
	}
	return from.Address.String()
}

// idleFor is for how long an account is not signed in to before its owner hears of a
// sign-in from wherever it comes.
const idleFor = 90 * 24 * time.Hour

// notifySignIn queues the mail about a sign-in that its owner should know of: one after
// wrong passwords in a row from the same place, one after a long time (ASVS 6.3.5), or one from a device
// or a network that is new to the account.
func (e *SignInEnd) notifySignIn(tx *db.Tx, who account.Credentials, b session.Start, try lockout.Try, now time.Time, from event.Origin) error {
	switch {
	case try.Guessed:
		return e.mailSignIn(tx, who.ID, notice.AfterGuesses, now, from)
	case !who.SignedInAt.IsZero() && now.Sub(who.SignedInAt) > idleFor:
		return e.mailSignIn(tx, who.ID, notice.AfterLong, now, from)
	case try.Device == "":
		return e.notifyNewSignIn(tx, who, b, now, from)
	}
	return nil
}

// mailSignIn queues the mail.
func (e *SignInEnd) mailSignIn(tx *db.Tx, id string, why notice.Why, now time.Time, from event.Origin) error {
	h, err := account.HolderByID(tx, id)
	if err != nil {
		return err
	}
	return e.Guard.Notices.Send(tx, notice.Mail{
		Kind: notice.NewSignIn, Account: h.ID, To: h.Email, Name: h.Name, Locale: h.Locale, At: now, Why: why,
	}, from)
}

// notifyNewSignIn queues the mail about a sign-in from a device or a network that is new to
// the account, unless it is the first that the account has seen. A browser with the
// cookie of a known device is not asked for.
func (e *SignInEnd) notifyNewSignIn(tx *db.Tx, who account.Credentials, b session.Start, now time.Time, from event.Origin) error {
	known, others, err := session.Known(tx, b, who.PasswordAt, now.Add(-24*time.Hour))
	first := who.SignedInAt.IsZero() && others == 0
	if err != nil || known || first || others >= newSignInMost {
		return err
	}
	return e.mailSignIn(tx, who.ID, "", now, from)
}
