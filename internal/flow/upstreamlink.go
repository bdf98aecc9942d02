package flow

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
)

// Why an identity was linked.
const (
	linkAsked    = "asked"
	linkAddress  = "address"
	linkCleansed = "cleansed"
	linkSignUp   = "registered"
)

// link links to the account of the session that asked: it is alive, and fresh.
func (f *ProviderSignIn) link(ctx context.Context, a arrival) error {
	if err := f.Lockdown.Pass(lockdown.Changes); err != nil {
		return err
	}
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		now := f.Now()
		h, err := account.HoldUsable(tx, a.who.Account)
		if errors.Is(err, account.ErrNotFound) {
			err = errLinkOver
		}
		if err == nil {
			err = IsFresh(a.who, h.Factors, now)
		}
		if err == nil {
			err = f.linked(tx, a, h.ID, linkAsked, now)
		}
		if err != nil {
			return err
		}
		held, err := session.Hold(tx, a.who.Session, now)
		if errors.Is(err, session.ErrNotFound) || err == nil && held.Account != h.ID {
			err = errLinkOver
		}
		return err
	})
}

// linked links, in the transaction that holds the account's row, and tells its owner.
func (f *ProviderSignIn) linked(tx *db.Tx, a arrival, accountID, why string, now time.Time) error {
	ok, err := upstream.Link(tx, a.identity(accountID), now)
	if err == nil && !ok {
		err = errLookAgain
	}
	if err != nil {
		return err
	}
	f.Guard.Events.Append(tx, event.Event{
		Kind: event.IdentityLinked, Outcome: event.Success, Account: accountID, Session: a.who.Session, Origin: a.from,
		Detail: event.Detail{Provider: a.remote.ID, Reason: why},
	})
	if why == linkSignUp {
		return nil // it has nothing else, and began with it
	}
	return f.tell(tx, accountID, notice.Mail{Kind: notice.IdentityLinked, Providers: []string{a.remote.Name}, At: now}, a.from)
}

// create makes an account without a password for somebody, whose address the provider vouches for, or a mailed code.
func (f *ProviderSignIn) create(ctx context.Context, a arrival) (id string, err error) {
	if err := f.Lockdown.Pass(lockdown.Registration); err != nil {
		return "", err
	}
	address, err := f.Accounts.Address(a.person.Email)
	if err != nil {
		return "", err
	}
	done, err := f.Limits.registration(ctx, a.from)
	if err != nil {
		return "", err
	}
	defer func() { done(err) }()
	now := f.Now()
	n := account.New{ID: f.Random.ID(now), Address: address, Name: nameOf(a.person.Name), Locale: account.AcceptedLocale(a.accepted), Verified: true}
	if a.code != nil {
		n.ID = a.code.Account
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		_, created, err := account.Create(tx, n, now)
		if err == nil && !created {
			err = errLookAgain
		}
		if err == nil {
			err = HeldByUndo(tx, address.Key, now)
		}
		if err == nil && a.code != nil {
			err = ticket.Consume(tx, *a.code, now)
		}
		if err != nil {
			return err
		}
		f.Guard.Events.Append(tx, event.Event{
			Kind: event.AccountRegistered, Outcome: event.Success, Account: n.ID, Origin: a.from, Detail: event.Detail{Provider: a.remote.ID},
		})
		return f.linked(tx, a, n.ID, linkSignUp, now)
	})
	if errors.Is(err, ErrHeld) { // an undo came in the same moment
		err = errLookAgain
	}
	return n.ID, err
}

// nameOf is a name as accounts have them; what can't be one is none.
func nameOf(said string) string {
	said = strings.TrimSpace(said)
	if account.CheckName("name", said) != nil {
		return ""
	}
	return said
}

// adopt links to the account that has the address. One whose address nobody had verified is cleansed first.
func (f *ProviderSignIn) adopt(ctx context.Context, a arrival, accountID string, cleanse bool) error {
	if err := f.Lockdown.Pass(lockdown.Changes); err != nil {
		return err
	}
	err := f.DB.Write(ctx, func(tx *db.Tx) error {
		now, why := f.Now(), linkAddress
		var err error
		if cleanse {
			why = linkCleansed
			err = f.cleanse(tx, accountID, a.address.Key, now, a.from)
		} else {
			_, err = account.HoldVerified(tx, accountID, a.address.Key)
		}
		if err != nil {
			return err
		}
		return f.linked(tx, a, accountID, why, now)
	})
	if errors.Is(err, account.ErrNotFound) {
		err = errLookAgain
	}
	return err
}

// cleanse takes away all that somebody could wait with in an account whose address nobody had verified: whoever registered it, or
// linked an account of theirs to it, is out.
func (f *ProviderSignIn) cleanse(tx *db.Tx, id, addressKey string, now time.Time, from event.Origin) error {
	h, err := account.Cleanse(tx, id, addressKey, now)
	if err != nil {
		return err
	}
	for _, clear := range []func() error{
		func() error { return f.Guard.keep(tx, id, "cleansed", from) },
		func() error { return ticket.VoidAll(tx, id) },
		func() error { _, err := factor.Erase(tx, id); return err },
		func() error { return f.dropIdentities(tx, id, time.Time{}, "cleansed", from) },
		func() error { return f.endSessions(tx, id, "", "cleansed", from) },
		func() error { return grant.WithdrawEvery(tx, id) },
		func() error { _, err := consent.Erase(tx, id); return err },
		func() error { return ForgetDevices(tx, id) },
		func() error { return f.Guard.Lockout.Clear(tx, h.Key) },
		func() error { return f.Guard.Lockout.ClearCodes(tx, id) },
	} {
		if err := clear(); err != nil {
			return err
		}
	}
	return nil
}
