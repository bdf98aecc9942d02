package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
)

// NotMe is "this wasn't me", in notifications. It only takes
// away: all sessions end, links are void, no browser is known, no identity of another provider is linked, and nobody signs in
// before the password was reset. It works once, and not after the password was
// changed since the mail: an old mail in a stolen mailbox does nothing. The undos of
// changes of address live on: a thief can't take the owner's away by it.
type NotMe struct{ *EmailLinks }

// notMe is the reason of all that it ends.
const notMe = "not_me"

// Link makes the link for an account, in the transaction: see [Notices].
func (f *NotMe) Link(tx *db.Tx, accountID string, now time.Time) (string, error) {
	n, err := account.PasswordN(tx, accountID)
	if err != nil {
		return "", err
	}
	s := f.Tickets.Issue(tx, ticket.Ticket{Purpose: ticket.NotMe, Account: accountID, PasswordN: n}, now)
	return f.link("/not-me", s.Token), nil
}

// Do does it, for who shows the link, and returns what shows their browser what came of it: see [NotMe.Story].
func (f *NotMe) Do(ctx context.Context, token string, from event.Origin) (shows string, err error) {
	ctx, run := f.Count.Begin(ctx, "not_me")
	shows, err = f.do(ctx, token, from)
	return shows, run.End(pressedTwice(err))
}

func (f *NotMe) do(ctx context.Context, token string, from event.Origin) (shows string, err error) {
	if token == "" {
		return "", Required("token")
	}
	t, err := f.find(ctx, LinkOrCode{Token: token}, event.SuspiciousActivity, from, ticket.NotMe, ticket.NotMe)
	if err == nil {
		err = f.DB.Write(ctx, func(tx *db.Tx) error {
			now := f.Now()
			_, ok, err := account.DemandReset(tx, t.Account, t.PasswordN, now)
			if err == nil && !ok {
				err = ticket.Gone(tx, t)
			}
			if err == nil {
				err = f.reduce(tx, t.Account, Identity{}, now, from, func() error { return ticket.Consume(tx, t, now) })
			}
			return err
		})
		t.Used = f.Now()
	}
	if err == nil || errors.Is(err, ticket.ErrUsed) {
		shows = f.shows(t.Account, t.Used)
	}
	return shows, err
}

// Mine does it for whoever is signed in: a fresh sign-in does for the link, and where there is no second factor the current
// password as well. Their own session ends with the others.
func (f *NotMe) Mine(ctx context.Context, who Identity, current string, b *Browser, from event.Origin) (shows string, err error) {
	ctx, run := f.Count.Begin(ctx, "not_me")
	shows, err = f.mine(ctx, who, current, b, from)
	return shows, run.End(err)
}

func (f *NotMe) mine(ctx context.Context, who Identity, current string, b *Browser, from event.Origin) (shows string, err error) {
	h, err := f.ownAccount(ctx, who)
	if err != nil {
		return "", err
	}
	done, err := f.mayTake(ctx, who, current, b, from)
	if err != nil {
		return "", err
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		_, ok, err := account.DemandReset(tx, h.ID, h.PasswordN, now)
		if err == nil && !ok {
			err = f.beaten(tx, h.ID)
		}
		if err == nil {
			err = f.stillIn(tx, who)
		}
		if err == nil {
			err = f.reduce(tx, h.ID, who, now, from, func() error { done.right(tx); return nil })
		}
		return err
	})
	done.end(ctx, err)
	if err == nil || errors.Is(err, ErrDoneAlready) {
		shows = f.shows(h.ID, f.Now())
	}
	return shows, err
}

// stillIn refuses whoever's session has ended since it was looked at: by another press, that had read the password's number before.
// Whoever calls it holds the account's row, under which sessions end.
func (f *NotMe) stillIn(tx *db.Tx, who Identity) error {
	ended, err := session.HasEnded(tx, who.Session)
	if err == nil && ended {
		err = ErrDoneAlready
	}
	return err
}

// beaten says of a press that came second which one came first: another press, or a change of the password, after which the
// person may press again.
func (f *NotMe) beaten(tx *db.Tx, id string) error {
	c, err := account.CredentialsOf(tx, id)
	switch {
	case err != nil:
		return changedMeanwhile(err)
	case c.MustReset:
		return ErrDoneAlready
	}
	return ErrChangedMeanwhile
}

// reduce takes away what anybody has of the account, after its row was taken: what waits, what is linked, sessions, known browsers
// and links. spend uses up what it was asked with.
func (f *NotMe) reduce(tx *db.Tx, id string, who Identity, now time.Time, from event.Origin, spend func() error) error {
	// Whoever it was may have asked for either.
	if err := f.Guard.keep(tx, id, notMe, from); err != nil {
		return err
	}
	if _, err := factor.StopReset(tx, id); err != nil {
		return err
	}
	if err := f.dropIdentities(tx, id, time.Time{}, notMe, from); err != nil {
		return err
	}
	if err := spend(); err != nil {
		return err
	}
	if err := f.endSessions(tx, id, "", notMe, from); err != nil {
		return err
	}
	if err := ForgetDevices(tx, id); err != nil {
		return err
	}
	if err := ticket.Void(tx, id); err != nil {
		return err
	}
	f.Guard.Events.Append(tx, event.Event{
		Kind: event.SuspiciousActivity, Outcome: event.Success, Account: id, Session: who.Session, Origin: from,
		Detail: event.Detail{Reason: notMe, AMR: who.AMR},
	})
	return nil
}
