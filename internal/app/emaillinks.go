package app

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// newEmailLinks makes what the flows share that send a link, and has every mail carry
// "this wasn't me".
func newEmailLinks(b *base, t *tokens, g *flow.Guard, limits *flow.Limits, accounts *flow.NewAccounts) (*flow.EmailLinks, capability, error) {
	key := func() []byte { return b.ring.Key(keyring.Ticket) }
	l := &flow.EmailLinks{
		DB: b.db, Tickets: ticket.NewStore(key, b.random), Guard: g, Limits: limits, Hasher: accounts.Hasher, Policy: accounts.Policy,
		Revoked: t.revoked, Base: b.config.PublicURL, Key: key, Count: b.count, Now: b.now,
	}
	g.Notices.NotMe = (&flow.NotMe{EmailLinks: l}).Link
	return l, capability{name: "email links", jobs: []job.Job{forgetTickets(b)}}, nil
}

// forgetTickets deletes links that have expired, and the counts of codes that were
// tried on days that are over.
func forgetTickets(b *base) job.Job {
	return inBatches(b.db, "forget-tickets", time.Hour, func(tx *db.Tx, limit int) (int64, error) {
		tries, err := ticket.ForgetTries(tx, b.now(), limit)
		if err != nil {
			return 0, err
		}
		tickets, err := ticket.Forget(tx, b.now(), limit)
		return max(tries, tickets), err
	})
}
