package app

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/acme"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
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
		p        products
		hasher   *password.Hasher
		counting *counting
		accounts *flow.NewAccounts
		f        = &s.front
	)
	f.proxies = newProxies(b.config, b.log)
	return []opener{
		func() (c capability, err error) { p.known, c, err = newBreaches(b); return c, err },
		func() (capability, error) { return newSealing(b) },
		func() (capability, error) { return s.newAdmin(b) },
		func() (c capability, err error) { counting, c, err = newCounting(ctx, b); return c, err },
		func() (c capability, err error) { f.traces, c, err = newTracing(ctx, b); return c, err },
		func() (c capability, err error) { p.mail, c, err = newMailing(b, f.traces); return c, err },
		func() (c capability, err error) { p.alerts, c, err = newAlerts(b, p.mail.outbox); return c, err },
		func() (c capability, err error) { hasher, c, err = newHashing(ctx, b); return c, err },
		func() (c capability, err error) { p.tokens, c, err = newTokens(b, s.poll); return c, err },
		func() (c capability, err error) { f.blocks, c, err = newBlocks(b, f.proxies); return c, err },
		func() (c capability, err error) {
			f.certificate, f.authority, c, err = newCertificate(ctx, b, f.certificate, s.redirect != nil)
			return c, err
		},
		func() (c capability, err error) { p.limits, c, err = newLimits(b, counting); return c, err },
		func() (c capability, err error) {
			p.guard, p.unlock, c, err = newGuard(b, notices(p.mail.outbox, b.now))
			return c, err
		},
		func() (c capability, err error) { accounts, c, err = newAccounts(b, hasher, p.known); return c, err },
		func() (c capability, err error) {
			p.signIn, c, err = newSignIn(b, p.tokens, hasher, p.known, p.guard, p.limits)
			return c, err
		},
		func() (c capability, err error) { p.clients, c, err = newApplications(b, p.tokens); return c, err },
		func() (c capability, err error) {
			p.links, c, err = newEmailLinks(b, p.tokens, p.guard, p.limits, accounts)
			return c, err
		},
		func() (c capability, err error) { f.setup, c, err = newSetup(b, accounts); return c, err },
		func() (capability, error) {
			f.callers = &callers{tokens: p.tokens, limits: p.limits, clients: p.clients, cookies: p.signIn.cookies}
			return newDoors(b, &p, f.blocks, f.setup, accounts)
		},
	}
}
