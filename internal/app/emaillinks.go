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
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// newEmailLinks makes what the flows share that send a link, and has every mail carry
// "this wasn't me".
func newEmailLinks(
	b *base, t *tokens, g *flow.Guard, limits *flow.Limits, h *password.Hasher, known password.Breaches, m *mailing,
	elsewhere *upstream.Providers,
) (*flow.EmailLinks, capability, error) {
	key := func() []byte { return b.ring.Key(keyring.Ticket) }
	l := &flow.EmailLinks{
		Core: b.core(), Tickets: ticket.NewStore(key, b.random), Guard: g, Limits: limits, Hasher: h, Policy: passwordPolicy(b.config, known),
		New:     newAddresses(b, m),
		Revoked: t.revoked, Base: b.config.PublicURL, Key: key, Providers: elsewhere,
	}
	g.Notices.NotMe = (&flow.NotMe{EmailLinks: l}).Link
	return l, capability{name: "email links", jobs: []job.Job{forgetFormer(b), forgetShares(b)}}, nil
}

// newAddresses are the addresses that accounts can be given: those that mails reach, as far
// as the mail server has said what it takes.
func newAddresses(b *base, m *mailing) flow.NewAddresses {
	n := flow.NewAddresses{SingleLabels: !b.config.Production()}
	if m.delivery != nil {
		n.Reaches = m.delivery.Sender.Reaches
	}
	return n
}

// longestShare is longer than any window of mails to a mailbox.
const longestShare = 48 * time.Hour

// forgetFormer deletes the passwords that were kept for undos.
func forgetFormer(b *base) job.Job {
	return inBatches(b.db, "forget-former-passwords", time.Hour, func(tx *db.Tx, limit int) (int64, error) {
		return account.ForgetFormer(tx, b.now(), limit)
	})
}

// forgetShares deletes the counts of mails to mailboxes that are over.
func forgetShares(b *base) job.Job {
	return sweeping(b.db, "forget-mail-shares", time.Hour, func() time.Time { return b.now().Add(-longestShare) }, notice.ForgetShares)
}
