package app

import (
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/page"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/application"
)

// newCaller finds out who makes a request.
func newCaller(b *base, t *tokens) api.Caller {
	c := b.config
	return api.Caller{
		Authenticate: &application.Authenticate{Core: b.core(), Tokens: t.issuer, Revocations: t.revoked, Uses: t.uses, Sessions: t.sessions,
			Grants: t.grants, Demand: demand(c)},
		Cookies: &web.Cookies{
			Secure: c.CookieSecure, HTTPOnly: c.CookieHTTPOnly, Lax: c.CookieSameSite == config.SameSiteLax,
			Origin: c.PublicURL, Applications: c.CORSOrigins, Key: func() []byte { return b.ring.Key(keyring.CSRF) },
		},
	}
}

// forms are what pages with forms need, and visitor tells them what the caller's cookies tell the API.
func forms(p *page.Pages, who api.Caller) page.Forms {
	return page.Forms{Pages: p, Cookies: who.Cookies}
}

func visitor(p *page.Pages, who api.Caller) page.Visitor {
	return page.Visitor{Forms: forms(p, who), Authenticate: who.Authenticate}
}

// entrance is what pages need that look different to whoever is signed in.
type entrance struct {
	page.Entrance
	out     *flow.SignOut
	profile *flow.Profile
	signIn  *page.SignIn
}

// newSignIn begins sessions, has them go on, and ends them.
func newSignIn(b *base, p *page.Pages, t *tokens, who api.Caller, h *password.Hasher, known password.Breaches, ends *ending) (*entrance, capability, error) {
	c, g := b.config, ends.end.Guard
	in := &flow.SignIn{
		Core: b.core(), Hasher: h, Guard: g, Limits: ends.second.Limits, End: ends.end, Second: ends.second,
		Breaches: breachesAtSignIn(c, known), PasswordLife: c.PasswordLife, RequireVerified: requireVerified(c),
	}
	refresh := &flow.Refresh{
		Core: b.core(), Sessions: t.sessions, Tokens: t.issuer, Revoked: t.revoked, Notices: g.Notices, Log: b.log, Uses: t.uses, Demand: demand(c),
	}
	out := &flow.SignOut{Core: b.core(), Sessions: t.sessions, Tokens: t.issuer, Revoked: t.revoked}
	profile := &flow.Profile{Core: b.core()}
	sessions := api.Sessions{Caller: who, SignIn: in, Refresh: refresh, SignOut: out, Profile: profile}
	e := &entrance{Entrance: page.Entrance{Visitor: visitor(p, who), Refresh: refresh}, out: out, profile: profile}
	alone := &flow.PasskeySignIn{PasskeyCheck: ends.keys, Limits: ends.second.Limits, End: ends.end}
	pages := page.SignIn{
		Entrance: e.Entrance, SignIn: in, Second: ends.second, Alone: alone, SignOut: out, Profile: profile, Agree: ends.agree,
		Closed: c.Registration != config.RegistrationOpen,
	}
	e.signIn = &pages
	return e, capability{name: "sign-in", routes: []web.Routes{sessions.Routes(), pages.Routes()}}, nil
}

// requireVerified reports whether an account is of no use until its address is verified.
func requireVerified(c *config.Config) bool {
	return c.EmailVerification == config.VerificationRequired
}
