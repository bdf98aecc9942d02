package app

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/page"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
)

// products are what the doors open on.
type products struct {
	known   password.Breaches
	mail    *mailing
	alerts  *alert.Admin
	tokens  *tokens
	guard   *flow.Guard
	unlock  *flow.Unlock
	limits  *flow.Limits
	signIn  *signIn
	links   *flow.EmailLinks
	clients *flow.AuthenticateClient
}

// newApplications authenticates registered applications.
func newApplications(b *base, t *tokens) (*flow.AuthenticateClient, capability, error) {
	return &flow.AuthenticateClient{
		Clients: client.NewRegistry(b.db, b.config.RevocationStale, b.now), Revocations: t.revoked, Tally: b.tally, Count: b.count,
	}, capability{name: "applications"}, nil
}

// newDoors serves the API and the pages.
func newDoors(b *base, p *products, k *blocks, setup *flow.Setup, accounts *flow.NewAccounts) (capability, error) {
	a := newAPI(b, p, k, accounts)
	pages := &page.Pages{
		Setup: setup, SignIn: a.SignIn, Refresh: a.Refresh, SignOut: a.SignOut, Authenticate: a.Authenticate, Profile: a.Profile, Cookies: a.Cookies,
		Unlock: p.unlock, Register: a.Register, Verify: a.Verify, Passwords: a.Passwords, Addresses: a.Addresses,
		NotMe: &flow.NotMe{EmailLinks: p.links},
		Mails: p.mail.page(),
	}
	return capability{name: "doors", routes: func(s *web.Stack, mux *http.ServeMux) {
		a.Routes(s, mux)
		pages.Routes(s, mux)
	}}, nil
}

func newAPI(b *base, p *products, k *blocks, accounts *flow.NewAccounts) *api.API {
	c := b.config
	return &api.API{
		Register: &flow.Register{
			DB: b.db, Accounts: accounts, Events: b.events, Notices: p.guard.Notices, EmailLinks: p.links, Limits: p.limits,
			Open: c.Registration == config.RegistrationOpen, RequireVerified: requireVerified(c), Count: b.count,
		},
		SignIn:       p.signIn.in,
		Refresh:      p.signIn.refresh,
		SignOut:      p.signIn.out,
		Authenticate: p.signIn.authenticate,
		Cookies:      p.signIn.cookies,
		Verify:       &flow.Verify{EmailLinks: p.links},
		Passwords:    &flow.Passwords{EmailLinks: p.links},
		Addresses:    &flow.Addresses{EmailLinks: p.links},
		Clients:      p.clients,
		Follow:       &flow.Follow{Revocations: p.tokens.revoked, Stopping: b.stopping, Count: b.count},
		Strength:     &flow.Strength{Policy: strengthPolicy(c, p.known), Count: b.count},
		Introspect:   &flow.Introspect{DB: b.db, Authenticate: p.signIn.authenticate, Sessions: p.tokens.sessions, Count: b.count, Now: b.now},
		RevokeToken: &flow.RevokeToken{
			DB: b.db, Authenticate: p.signIn.authenticate, Sessions: p.tokens.sessions, Events: b.events, Count: b.count, Now: b.now,
		},
		ForwardAuth:  &flow.ForwardAuth{DB: b.db, Authenticate: p.signIn.authenticate, Count: b.count, Now: b.now},
		Administrate: &flow.Administrate{Tally: b.tally, Count: b.count, Now: b.now},
		Blocks:       k.flow,
		Audit:        &flow.Audit{DB: b.db, Events: b.events, Count: b.count},
		Alerts:       p.alerts,
		Discovery:    api.Discovery{Issuer: c.JWTIssuer, PublicURL: c.PublicURL},
		Profile:      &flow.Profile{DB: b.db, Events: b.events, Count: b.count, Now: b.now},
		Tokens:       p.tokens.issuer,
		Now:          b.now,
	}
}
