package flow

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
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
		b.Address, b.Network = from.Address.String(), event.Network(from.Address).String()
	}
	return b
}

// notifyNewSignIn queues the mail about a sign-in from a device or a network that is new to
// the account, unless it is the first that the account has seen. A browser with the
// cookie of a known device is not asked for.
func (f *SignIn) notifyNewSignIn(tx *db.Tx, who account.Credentials, b session.Start, now time.Time, from event.Origin) error {
	known, others, err := session.Known(tx, b, who.PasswordAt, now.Add(-24*time.Hour))
	first := who.SignedInAt.IsZero() && others == 0
	if err != nil || known || first || others >= newSignInMost {
		return err
	}
	h, err := account.HolderByID(tx, who.ID)
	if err != nil {
		return err
	}
	return f.Guard.Notices.Send(tx, notice.Mail{
		Kind: notice.NewSignIn, Account: h.ID, To: h.Email, Name: h.Name, Locale: h.Locale, At: now,
	}, from)
}
