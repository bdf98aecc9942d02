package app

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
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

// forgetTickets deletes links that have expired, the passwords that were kept for
// undos, and the counts of codes that were tried on days that are over.
func forgetTickets(b *base) job.Job {
	return inBatches(b.db, "forget-tickets", time.Hour, func(tx *db.Tx, limit int) (int64, error) {
		tries, err := ticket.ForgetTries(tx, b.now(), limit)
		if err != nil {
			return 0, err
		}
		former, err := account.ForgetFormer(tx, b.now(), limit)
		if err != nil {
			return 0, err
		}
		tickets, err := ticket.Forget(tx, b.now(), limit)
		return max(tries, former, tickets), err
	})
}
