package app

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/acme"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
)

// front is what the listeners need of the capabilities.
type front struct {
	certificate certificate       // nil without TLS
	authority   *acme.Certificate // nil unless the certificate is ordered by ACME
	traces      *trace.Tracer     // nil: none are taken
	proxies     *web.Proxies
	blocks      *blocks
	callers     *callers
	setup       *flow.Setup
}

// list returns all capabilities in the order in which they open; they close in the
// reverse. What one makes and another needs stands in a variable of its own.
func (s *Server) list(ctx context.Context, b *base) []opener {
	var (
		f        = &s.front
		known    password.Breaches
		counting *counting
		mail     *mailing
		alerts   *alert.Admin
		hasher   *password.Hasher
		tokens   *tokens
		who      api.Caller
		limits   *flow.Limits
		guard    *flow.Guard
		links    *flow.EmailLinks
		clients  *flow.AuthenticateClient
	)
	f.proxies = newProxies(b.config, b.log)
	return []opener{
		func() (c capability, err error) { known, c, err = newBreaches(b); return c, err },
		func() (capability, error) { return newSealing(b) },
		func() (capability, error) { return s.newAdmin() },
		func() (c capability, err error) { counting, c, err = newCounting(ctx, b); return c, err },
		func() (c capability, err error) { f.traces, c, err = newTracing(ctx, b); return c, err },
		func() (c capability, err error) { mail, c, err = newMailing(b, f.traces); return c, err },
		func() (c capability, err error) { alerts, c, err = newAlerts(b, mail.outbox); return c, err },
		func() (c capability, err error) { hasher, c, err = newHashing(ctx, b); return c, err },
		func() (c capability, err error) { tokens, who, c, err = newTokens(b, s.poll); return c, err },
		func() (c capability, err error) { f.blocks, c, err = newBlocks(b, f.proxies); return c, err },
		func() (c capability, err error) {
			f.certificate, f.authority, c, err = newCertificate(ctx, b, f.certificate, s.redirect != nil)
			return c, err
		},
		func() (c capability, err error) {
			guard, c, err = newGuard(b, who, notices(mail.outbox, b.now))
			return c, err
		},
		func() (c capability, err error) { clients, c, err = newApplications(b, tokens, who); return c, err },
		func() (c capability, err error) {
			limits, f.callers, c, err = newLimits(b, counting, tokens, clients, who.Cookies)
			return c, err
		},
		func() (capability, error) { return newSignIn(b, tokens, who, hasher, known, guard, limits) },
		func() (c capability, err error) {
			links, c, err = newEmailLinks(b, tokens, guard, limits, hasher, known)
			return c, err
		},
		func() (capability, error) { return newAccounts(b, who, links, known) },
		func() (c capability, err error) { f.setup, c, err = newSetup(b, who, links); return c, err },
		func() (capability, error) { return newAdministration(b, who, f.blocks.flow, alerts) },
		func() (capability, error) { return newMailPage(b, who, mail) },
		func() (capability, error) { return newRoot(b, mail, s.AdminURL()) },
	}
}
