package app

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// newEmailLinks makes what the flows share that send a link, and has every mail carry
// "this wasn't me".
func newEmailLinks(b *base, t *tokens, g *flow.Guard, limits *flow.Limits, h *password.Hasher, known password.Breaches) (*flow.EmailLinks, capability, error) {
	key := func() []byte { return b.ring.Key(keyring.Ticket) }
	l := &flow.EmailLinks{
		Core: b.core(), Tickets: ticket.NewStore(key, b.random), Guard: g, Limits: limits, Hasher: h, Policy: passwordPolicy(b.config, known),
		SingleLabels: !b.config.Production(),
		Revoked:      t.revoked, Base: b.config.PublicURL, Key: key,
	}
	g.Notices.NotMe = (&flow.NotMe{EmailLinks: l}).Link
	return l, capability{name: "email links", jobs: []job.Job{forgetTickets(b)}}, nil
}

// longestShare is longer than any window of mails to a mailbox.
const longestShare = 48 * time.Hour

// forgetTickets deletes links that have expired, the passwords that were kept for
// undos, the counts of codes that were tried on days that are over, and those of mails
// to mailboxes.
func forgetTickets(b *base) job.Job {
	return inBatches(b.db, "forget-tickets", time.Hour, func(tx *db.Tx, limit int) (most int64, err error) {
		for _, forget := range []func(*db.Tx, time.Time, int) (int64, error){ticket.ForgetTries, account.ForgetFormer, ticket.Forget, forgetShares} {
			n, err := forget(tx, b.now(), limit)
			if err != nil {
				return 0, err
			}
			most = max(most, n)
		}
		return most, nil
	})
}

func forgetShares(tx *db.Tx, now time.Time, limit int) (int64, error) {
	return notice.ForgetShares(tx, now.Add(-longestShare), limit)
}
