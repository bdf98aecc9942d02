package flow

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/limit"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// Mails that anybody can cause who types an address are bounded twice. How often
// somebody may ask is counted by who asks, and refused with 429. How many a mailbox
// gets is counted where the mail is queued, whatever call caused it, and what is too
// much is left out without a word: the answer must not tell whether there is an
// account, and whoever asks again has the mails that were sent.
//
// A mailbox has a share for each thing that its owner needs, so that a stranger can
// use none up without the owner getting just the mails that were wanted.
const (
	// shareReset is for ways to a new password.
	shareReset = "password_reset"
	// shareVerify is for links that verify the address of an account.
	shareVerify = "verification_mail"
	// shareUnasked is for mails of no use to who wants to get into their account:
	// that somebody registered the address, or wants it for an account.
	shareUnasked = "unasked_mail"
)

// MailShares are the rules of what a mailbox gets, each as much as Reset says.
func (l *Limits) MailShares() []limit.Rule {
	var all []limit.Rule
	for _, share := range []string{shareReset, shareVerify, shareUnasked} {
		all = append(all, limit.Rule{Name: share, Limit: l.Reset.Limit, Window: l.Reset.Window})
	}
	return all
}

// affords counts a mail under a mailbox's share, in the transaction that queues it,
// or reports that it must be left out.
func (l *Limits) affords(tx *db.Tx, share, addressKey string, from event.Origin, now time.Time) (bool, error) {
	key := l.claim(limit.Rule{Name: share}, "mailbox", addressKey).Key
	ok, err := notice.Affords(tx, base64.RawURLEncoding.EncodeToString(key[:]), l.Reset.Limit, l.Reset.Window, now)
	if err != nil {
		return false, err
	}
	tx.OnCommit(func() {
		l.Count(share, ok)
		if !ok {
			l.Tally.Add(event.RateLimitExceeded, share, from)
		}
	})
	return ok, nil
}

// askersPerMailbox is how many times as many mails as a mailbox gets a network may
// ask for.
const askersPerMailbox = 10

// ResetNetwork is how many mails a network may ask for.
func (l *Limits) ResetNetwork() limit.Rule {
	r := l.Reset
	r.Name, r.Limit = r.Name+"_network", r.Limit*askersPerMailbox
	return r
}

// EmailChange is how often an account may ask for another address.
func (l *Limits) EmailChange() limit.Rule {
	r := l.Reset
	r.Name = "email_change"
	return r
}

// mail counts a request for a mail, whether or not one is sent: else whoever asks
// would learn by the limit whether the address has an account.
func (l *Limits) mail(ctx context.Context, from event.Origin) error {
	_, err := l.take(ctx, from, l.byNetwork(l.ResetNetwork(), from)...)
	return err
}

// addressChange counts an account's request for another address, unless it fails.
func (l *Limits) addressChange(ctx context.Context, account string, from event.Origin) (done func(error), err error) {
	claims := append([]limit.Claim{l.claim(l.EmailChange(), "account", account)}, l.byNetwork(l.ResetNetwork(), from)...)
	if _, err := l.take(ctx, from, claims...); err != nil {
		return nil, err
	}
	return func(err error) {
		if err != nil {
			l.giveBack(ctx, claims...)
		}
	}, nil
}
