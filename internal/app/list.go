package app

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/page"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/acme"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
	"github.com/gatehouse-auth/gatehouse/internal/ops/retention"
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
	kit         *ui.Kit // what all pages are made of
	pages       *page.Pages
	// clientOrigin reports whether a script's origin is an application's that people sign in to.
	clientOrigin func(r *http.Request, origin string) bool
}

// list returns all capabilities in the order in which they open; they close in the
// reverse. What one makes and another needs stands in a field of parts.
func (s *Server) list(ctx context.Context, b *base) []opener {
	p := &parts{front: &s.front}
	p.proxies = newProxies(b.config, b.log)
	return append(s.foundations(ctx, b, p), s.doors(b, p)...)
}

// parts is what capabilities make for one another.
type parts struct {
	*front
	known     password.Breaches
	counting  *counting
	mail      *mailing
	alerts    *alert.Admin
	keeps     *retention.Keeper
	hasher    *password.Hasher
	tokens    *tokens
	who       api.Caller
	limits    *flow.Limits
	guard     *flow.Guard
	links     *flow.EmailLinks
	clients   *flow.AuthenticateClient
	provider  *provider
	consents  *flow.Consents
	ends      *ending
	upstreams *upstreams
	elsewhere *upstream.Providers
	factors   *flow.Factors
	personal  *personal
	enter     *entrance
	admin     *administration
	incidents *respond.Desk
}

// foundations are what the doors stand on.
func (s *Server) foundations(ctx context.Context, b *base, p *parts) []opener {
	return []opener{
		func() (c capability, err error) { p.known, c, err = newBreaches(b); return c, err },
		func() (c capability, err error) { p.kit, p.pages, c, err = newPages(b); return c, err },
		func() (c capability, err error) { p.elsewhere, c, err = newProviders(b, p.pages); return c, err },
		func() (capability, error) { return newSealing(b) },
		func() (capability, error) { return newExamination(b) },
		func() (capability, error) { return s.newAdmin() },
		func() (c capability, err error) { p.counting, c, err = newCounting(ctx, b); return c, err },
		func() (c capability, err error) { p.traces, c, err = newTracing(ctx, b); return c, err },
		func() (c capability, err error) { p.mail, c, err = newMailing(b, p.traces); return c, err },
		func() (c capability, err error) { p.alerts, c, err = newAlerts(b, p.mail.outbox); return c, err },
		func() (capability, error) { return newBackups(b) },
		func() (c capability, err error) { p.keeps, c, err = newRetention(b, p.mail); return c, err },
		func() (c capability, err error) { p.hasher, c, err = newHashing(ctx, b); return c, err },
		func() (c capability, err error) { p.tokens, p.who, c, err = newTokens(b, s.poll); return c, err },
		func() (c capability, err error) { p.blocks, c, err = newBlocks(b, p.proxies); return c, err },
		func() (c capability, err error) {
			p.certificate, p.authority, c, err = newCertificate(ctx, b, p.certificate, s.redirect != nil)
			return c, err
		},
		func() (c capability, err error) {
			p.guard, c, err = newGuard(b, p.pages, p.who, notices(p.mail.outbox, b.now))
			return c, err
		},
		func() (c capability, err error) {
			p.clients, c, err = newApplications(b, p.tokens, p.who)
			p.clientOrigin = func(r *http.Request, origin string) bool {
				return b.config.ClientRegistration == config.ClientRegistrationOpen && beforeRegistration(r.URL.Path) ||
					p.clients.HasOrigin(r.Context(), origin)
			}
			return c, err
		},
		func() (c capability, err error) {
			p.limits, p.callers, c, err = newLimits(b, p.counting, p.tokens, p.clients, p.who)
			return c, err
		},
	}
}

// doors are what people, programs and administrators come in by.
func (s *Server) doors(b *base, p *parts) []opener {
	return []opener{
		func() (c capability, err error) { p.consents, c, err = newDocuments(b, p.tokens); return c, err },
		func() (c capability, err error) {
			p.ends, c, err = newSecondStep(b, p.tokens, p.guard, p.limits, p.consents, p.elsewhere)
			return c, err
		},
		func() (c capability, err error) {
			p.enter, c, err = newSignIn(b, p.pages, p.tokens, p.who, p.hasher, p.known, p.ends)
			return c, err
		},
		func() (c capability, err error) {
			p.links, c, err = newEmailLinks(b, p.tokens, p.guard, p.limits, p.hasher, p.known, p.mail, p.elsewhere)
			p.personal = newPersonal(b, p.links)
			return c, err
		},
		func() (c capability, err error) {
			p.factors, c, err = newFactors(b, p.who, p.links, p.ends, p.enter)
			return c, err
		},
		func() (c capability, err error) {
			p.upstreams, c, err = newUpstreams(b, p.who, p.links, p.ends, p.factors, p.enter)
			return c, err
		},
		func() (c capability, err error) {
			p.provider, c, err = newProvider(b, p.pages, p.tokens, p.who, p.clients, p.enter, p.guard.Notices, p.limits)
			return c, err
		},
		func() (capability, error) { return newLogouts(b, p.tokens, p.clients) },
		func() (capability, error) {
			return newAccounts(b, p.enter, p.who, p.links, p.known, p.factors, p.consents, p.personal, p.provider, p.upstreams)
		},
		func() (c capability, err error) {
			p.setup, c, err = newSetup(b, p.pages, p.who, p.links, p.ends)
			return c, err
		},
		func() (c capability, err error) {
			p.admin, c, err = newAdministration(b, p.tokens, p.who, p.links, p.blocks.flow, p.alerts)
			return c, err
		},
		func() (c capability, err error) { p.incidents, c = newIncidents(b, p.tokens, p.admin); return c, nil },
		func() (capability, error) { return newPrivacy(b, p.who, p.admin, p.personal) },
		func() (capability, error) { return administerRetention(p.admin, p.keeps), nil },
		func() (capability, error) {
			return newConsole(b, p.kit, p.who, p.admin, p.personal, p.incidents, p.keeps, p.provider.guard, p.enter.out)
		},
		func() (capability, error) { return newMailPage(b, p.pages, p.who, p.mail) },
		func() (capability, error) { return newRoot(b, p.pages, p.who, p.mail, s.AdminURL()), nil },
		func() (capability, error) { return newConsents(b, p.pages, p.who, p.consents, p.ends, p.enter), nil },
	}
}
