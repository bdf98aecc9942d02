package app

import (
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/page"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// newCaller finds out who makes a request.
func newCaller(b *base, t *tokens) api.Caller {
	c := b.config
	return api.Caller{
		Authenticate: &flow.Authenticate{Core: b.core(), Tokens: t.issuer, Revocations: t.revoked, Uses: t.uses, Sessions: t.sessions},
		Cookies: &web.Cookies{
			Secure: c.CookieSecure, HTTPOnly: c.CookieHTTPOnly, Lax: c.CookieSameSite == config.SameSiteLax,
			Origin: c.PublicURL, Applications: c.CORSOrigins, Key: func() []byte { return b.ring.Key(keyring.CSRF) },
		},
	}
}

// visitor tells pages what the caller's cookies tell the API.
func visitor(who api.Caller) page.Visitor {
	return page.Visitor{Forms: page.Forms{Cookies: who.Cookies}, Authenticate: who.Authenticate}
}

// newSignIn begins sessions, has them go on, and ends them.
func newSignIn(b *base, t *tokens, who api.Caller, h *password.Hasher, known password.Breaches, g *flow.Guard, limits *flow.Limits) (capability, error) {
	c := b.config
	in := &flow.SignIn{
		Core: b.core(), Hasher: h, Sessions: t.sessions, Tokens: t.issuer, Revoked: t.revoked, Guard: g, Limits: limits,
		Breaches: breachesAtSignIn(c, known), PasswordLife: c.PasswordLife, RequireVerified: requireVerified(c),
	}
	refresh := &flow.Refresh{Core: b.core(), Sessions: t.sessions, Tokens: t.issuer, Revoked: t.revoked, Notices: g.Notices, Log: b.log}
	out := &flow.SignOut{Core: b.core(), Sessions: t.sessions, Tokens: t.issuer, Revoked: t.revoked}
	profile := &flow.Profile{Core: b.core()}
	sessions := api.Sessions{Caller: who, SignIn: in, Refresh: refresh, SignOut: out, Profile: profile}
	pages := page.SignIn{Entrance: page.Entrance{Visitor: visitor(who), Refresh: refresh}, SignIn: in, SignOut: out, Profile: profile}
	return capability{name: "sign-in", routes: []web.Routes{sessions.Routes(), pages.Routes(), page.Assets()}}, nil
}

// requireVerified reports whether an account is of no use until its address is verified.
func requireVerified(c *config.Config) bool {
	return c.EmailVerification == config.VerificationRequired
}
