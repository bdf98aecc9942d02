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
)

// Guard stands before every look at a password, at sign-in and where a person
// who is signed in is asked once more: all count in the same buckets.
type Guard struct {
	Core
	Lockout *lockout.Store
	Spray   *lockout.Spray
	Notices *Notices
	// Pseudonym is the key of the addresses' hashes in events.
	Pseudonym []byte
	// UnlockLink makes the link of the mail about a lockout, which lets the
	// owner's browser in.
	UnlockLink func(tx *db.Tx, accountID, addressKey string, now time.Time) (link string, life time.Duration)

	queues clientQueues
}

// clientOf names who tries.
func (g *Guard) clientOf(address account.Address, b *Browser, from event.Origin) lockout.Client {
	return lockout.Client{AddressKey: address.Key, Network: event.Site(from.Address), Device: b.devices()[g.Lockout.CookieName(address.Key)]}
}

// take counts a try, before anything is done with the password, or returns the
// fault of one that is refused.
func (g *Guard) take(ctx context.Context, client lockout.Client, from event.Origin) (try lockout.Try, err error) {
	now := g.Now()
	err = g.DB.Write(ctx, func(tx *db.Tx) error {
		try, err = g.Lockout.Take(tx, client, now)
		return err
	})
	if f := fault.As(err); f != nil && f.Kind == fault.Limited {
		g.Tally.Add(event.FailedLogin, f.Code, from)
	}
	return try, err
}

// giveBack takes back a try whose password was never looked at, whatever
// becomes of the request.
func (g *Guard) giveBack(ctx context.Context, try lockout.Try) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	// It stays counted if this fails, which is the safe side.
	_ = g.DB.Write(ctx, func(tx *db.Tx) error {
		g.Lockout.GiveBack(tx, try)
		return nil
	})
}

// recordWithin is how long the record of a try may take that has been counted, where less is left of the request's time.
const recordWithin = 5 * time.Second

// record writes down what a try has led to that was counted: on a busy machine the comparison may have taken all of the request's
// time, and what is counted and not recorded is a guess that no log shows.
func (g *Guard) record(ctx context.Context, write func(tx *db.Tx) error) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < recordWithin {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
		defer cancel()
	}
	return g.DB.Write(ctx, write)
}

// failed records a try that was wrong, in the transaction, with what it led to.
// accountID is empty if there is no such account; then nobody is notified, after the
// same work.
func (g *Guard) failed(tx *db.Tx, try lockout.Try, accountID string, address account.Address, why Reason, from event.Origin) error {
	hash := addressHash(g.Pseudonym, address.Key)
	g.Events.Append(tx, event.Event{
		Kind: event.FailedLogin, Outcome: event.Failure, Account: accountID, Origin: from,
		Detail: event.Detail{Reason: string(why), Address: hash},
	})
	locks, err := g.Lockout.Locks(tx, try, g.Now())
	if err != nil {
		return err
	}
	if try.First || locks {
		locked := event.Event{
			Kind: event.AccountLockout, Outcome: event.Success, Account: accountID, Origin: from,
			Detail: event.Detail{Reason: "network_delayed", Address: hash},
		}
		if try.Device != "" {
			locked.Detail.Reason = "device_delayed"
		}
		if locks {
			locked.Detail.Reason = "account_locked"
		}
		g.Events.Append(tx, locked)
	}
	tx.OnCommit(func() {
		if n := g.Spray.Failed(address.Key, event.Network(from.Address), g.Now()); n > 0 {
			g.Tally.AddCount(event.SuspiciousActivity, "guessing_across_accounts", event.Origin{}, int64(n))
		}
	})
	if !locks {
		return nil
	}
	return g.notifyLockedOut(tx, accountID, address.Key, from)
}

// notifyLockedOut sends the owner the mail about the lockout. An address is locked out once
// until it is cleared, or a day's fading has let in one try more, so it is sent once a
// day at most: for as long as its link works.
func (g *Guard) notifyLockedOut(tx *db.Tx, accountID, addressKey string, from event.Origin) error {
	a, err := account.ByID(tx, accountID)
	if errors.Is(err, account.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	m := notice.Mail{Kind: notice.LockedOut, Account: a.ID, To: a.Email, Name: a.Name, Locale: a.Locale}
	m.Link, m.LinkLife = g.UnlockLink(tx, a.ID, addressKey, g.Now())
	return g.Notices.Send(tx, m, from)
}

// succeeded clears the buckets of a try that was right, in the transaction.
func (g *Guard) succeeded(tx *db.Tx, try lockout.Try) {
	g.Lockout.Succeeded(tx, try)
	tx.OnCommit(func() { g.Spray.Succeeded(g.Now()) })
}

// Browser is where a person sits who is about to show a password.
type Browser struct {
	// Devices are the cookies of known devices that it sent, by their names.
	Devices map[string]string
	// Bearer is whether it asked for the tokens in the answer: it stays known, but is
	// not made so.
	Bearer bool
	// Known is the one that it is to keep, once a sign-in has succeeded: nobody's
	// guesses keep it out.
	Known DeviceCookie
	// Registered is what the browser keeps that registered an account. It is read
	// where an address is verified, and set by a registration.
	Registered string
	// Session is the refresh token that it has of a session before, which a sign-in takes the place of. Replaced says that the sign-in
	// has ended that session, as the same person's: see [SignOut.Before].
	Session  string
	Replaced bool
}

// DeviceCookie makes a browser a known device.
type DeviceCookie struct {
	Name, Value string
	Life        time.Duration
}

func (b *Browser) devices() map[string]string {
	if b == nil {
		return nil
	}
	return b.Devices
}

// keeps reports whether a browser that is known as a device, or as none, gets a cookie.
func (b *Browser) keeps(device string) bool { return b != nil && (!b.Bearer || device != "") }

func (b *Browser) know(name, value string) {
	if b != nil {
		b.Known = DeviceCookie{Name: name, Value: value, Life: lockout.DeviceLife}
	}
}
