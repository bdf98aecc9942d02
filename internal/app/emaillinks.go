package app

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// emailLinks returns what the flows share that send a link, and has every mail carry
// "this wasn't me".
func (s *Server) emailLinks(ring *keyring.Ring, g *flow.Guard, limits *flow.Limits, accounts *flow.NewAccounts, count flow.Count) *flow.EmailLinks {
	key := func() []byte { return ring.Key(keyring.Ticket) }
	l := &flow.EmailLinks{
		DB: s.db, Tickets: ticket.NewStore(key, secret.Random{}), Guard: g, Limits: limits, Hasher: s.hasher, Policy: accounts.Policy,
		Revoked: s.revoked, Base: s.config.PublicURL, Key: key, Count: count, Now: g.Now,
	}
	g.Notices.NotMe = (&flow.NotMe{EmailLinks: l}).Link
	return l
}

// longestShare is longer than any window of mails to a mailbox.
const longestShare = 48 * time.Hour

// forgetTickets deletes links that have expired, the counts of codes that were tried
// on days that are over, and those of mails to mailboxes.
func forgetTickets(d *db.DB, now func() time.Time) job.Job {
	return inBatches(d, "forget-tickets", time.Hour, func(tx *db.Tx, limit int) (int64, error) {
		tries, err := ticket.ForgetTries(tx, now(), limit)
		if err != nil {
			return 0, err
		}
		tickets, err := ticket.Forget(tx, now(), limit)
		if err != nil {
			return 0, err
		}
		shares, err := notice.ForgetShares(tx, now().Add(-longestShare), limit)
		return max(tries, tickets, shares), err
	})
}
