package flow

import (
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// failedCode records a wrong code or recovery code, in the transaction, with what it led to.
func (g *Guard) failedCode(tx *db.Tx, try lockout.Try, who account.Credentials, why Reason, from event.Origin) error {
	hash := addressHash(g.Pseudonym, who.Key)
	g.Events.Append(tx, event.Event{
		Kind: event.FailedLogin, Outcome: event.Failure, Account: who.ID, Origin: from, Detail: event.Detail{Reason: string(why), Address: hash},
	})
	locks, err := g.Lockout.Locks(tx, try, g.Now())
	if err != nil || !try.First && !locks {
		return err
	}
	locked := event.Event{
		Kind: event.AccountLockout, Outcome: event.Success, Account: who.ID, Origin: from, Detail: event.Detail{Reason: "network_delayed", Address: hash},
	}
	switch {
	case locks:
		locked.Detail.Reason = "factor_locked"
	case try.Device != "":
		locked.Detail.Reason = "device_delayed"
	}
	g.Events.Append(tx, locked)
	if !locks || try.Device != "" {
		return nil // a known browser needs no link
	}
	return g.notifyCodesLocked(tx, who.ID, from)
}

// notifyCodesLocked sends the owner the mail about codes that are locked for strangers.
func (g *Guard) notifyCodesLocked(tx *db.Tx, accountID string, from event.Origin) error {
	h, err := account.HolderByID(tx, accountID)
	if errors.Is(err, account.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	m := notice.Mail{Kind: notice.FactorLocked, Account: h.ID, To: h.Email, Name: h.Name, Locale: h.Locale}
	m.Link, m.LinkLife = g.UnlockLink(tx, h.ID, h.Key, g.Now())
	return g.Notices.Send(tx, m, from)
}

// tellPasswordEvery is how often an owner is told at most that somebody else has the password.
const tellPasswordEvery = 24 * time.Hour

// tellPassword tells the owner that somebody else has the password, once a day.
func (g *Guard) tellPassword(tx *db.Tx, accountID string, from event.Origin) error {
	now := g.Now()
	tell, err := account.TellPassword(tx, accountID, now.Add(-tellPasswordEvery), now)
	if err != nil || !tell {
		return err
	}
	h, err := account.HolderByID(tx, accountID)
	if err != nil {
		return err
	}
	g.Events.Append(tx, event.Event{
		Kind: event.SuspiciousActivity, Outcome: event.Failure, Account: h.ID, Origin: from, Detail: event.Detail{Reason: "password_known"},
	})
	return g.Notices.Send(tx, notice.Mail{
		Kind: notice.PasswordKnown, Account: h.ID, To: h.Email, Name: h.Name, Locale: h.Locale, At: now,
	}, from)
}
