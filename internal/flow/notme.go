package flow

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
)

// NotMe is "this wasn't me", in notifications. It only takes
// away: all sessions end, links are void, no browser is known, no identity of another provider is linked, and nobody signs in
// before the password was reset. It works once, and not after the password was
// changed since the mail: an old mail in a stolen mailbox does nothing. The undos of
// changes of address live on: a thief can't take the owner's away by it.
type NotMe struct{ *EmailLinks }

// Link makes the link for an account, in the transaction: see [Notices].
func (f *NotMe) Link(tx *db.Tx, accountID string, now time.Time) (string, error) {
	n, err := account.PasswordN(tx, accountID)
	if err != nil {
		return "", err
	}
	s := f.Tickets.Issue(tx, ticket.Ticket{Purpose: ticket.NotMe, Account: accountID, PasswordN: n}, now)
	return f.link("/not-me", s.Token), nil
}

// Do does it.
func (f *NotMe) Do(ctx context.Context, token string, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "not_me")
	return run.End(pressedTwice(f.do(ctx, token, from)))
}

func (f *NotMe) do(ctx context.Context, token string, from event.Origin) error {
	if token == "" {
		return Required("token")
	}
	t, err := f.find(ctx, LinkOrCode{Token: token}, event.SuspiciousActivity, from, ticket.NotMe, ticket.NotMe)
	if err != nil {
		return err
	}
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		_, ok, err := account.DemandReset(tx, t.Account, t.PasswordN, now)
		if err == nil && !ok {
			err = ticket.Gone(tx, t)
		}
		if err != nil {
			return err
		}
		// Whoever it was may have asked for either.
		if err := f.Guard.keep(tx, t.Account, "not_me", from); err != nil {
			return err
		}
		if _, err := factor.StopReset(tx, t.Account); err != nil {
			return err
		}
		if err := f.dropIdentities(tx, t.Account, time.Time{}, "not_me", from); err != nil {
			return err
		}
		if err := f.revokeAccess(tx, t, "not_me", now, from); err != nil {
			return err
		}
		f.Guard.Events.Append(tx, event.Event{
			Kind: event.SuspiciousActivity, Outcome: event.Success, Account: t.Account, Origin: from, Detail: event.Detail{Reason: "not_me"},
		})
		return nil
	})
}

// revokeAccess uses the ticket up and ends all that anybody has of the account: sessions,
// known browsers, and links that wait in mailboxes.
func (l *EmailLinks) revokeAccess(tx *db.Tx, t ticket.Ticket, why string, now time.Time, from event.Origin) error {
	if err := ticket.Consume(tx, t, now); err != nil {
		return err
	}
	if err := l.endSessions(tx, t.Account, "", why, from); err != nil {
		return err
	}
	if err := ForgetDevices(tx, t.Account); err != nil {
		return err
	}
	return ticket.Void(tx, t.Account)
}
