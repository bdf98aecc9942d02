package app

import (
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// signIn is how a session begins, goes on and ends, and who has one.
type signIn struct {
	in           *flow.SignIn
	refresh      *flow.Refresh
	out          *flow.SignOut
	authenticate *flow.Authenticate
	cookies      *web.Cookies
}

func newSignIn(b *base, t *tokens, h *password.Hasher, known password.Breaches, g *flow.Guard, limits *flow.Limits) (*signIn, capability, error) {
	c := b.config
	return &signIn{
		in: &flow.SignIn{
			DB: b.db, Hasher: h, Sessions: t.sessions, Tokens: t.issuer, Revoked: t.revoked, Events: b.events, Guard: g, Limits: limits,
			Breaches: breachesAtSignIn(c, known), PasswordLife: c.PasswordLife, RequireVerified: requireVerified(c), Count: b.count, Now: b.now,
		},
		refresh: &flow.Refresh{
			DB: b.db, Sessions: t.sessions, Tokens: t.issuer, Revoked: t.revoked, Events: b.events, Tally: b.tally, Notices: g.Notices,
			Count: b.count, Log: b.log, Now: b.now,
		},
		out: &flow.SignOut{
			DB: b.db, Sessions: t.sessions, Tokens: t.issuer, Revoked: t.revoked, Events: b.events, Tally: b.tally, Count: b.count, Now: b.now,
		},
		authenticate: &flow.Authenticate{Tokens: t.issuer, Revocations: t.revoked, Uses: t.uses, Tally: b.tally, Count: b.count, Now: b.now},
		cookies: &web.Cookies{
			Secure: c.CookieSecure, HTTPOnly: c.CookieHTTPOnly, Lax: c.CookieSameSite == config.SameSiteLax,
			Origin: c.PublicURL, Applications: c.CORSOrigins, Key: func() []byte { return b.ring.Key(keyring.CSRF) },
		},
	}, capability{name: "sign-in"}, nil
}

// requireVerified reports whether an account is of no use until its address is verified.
func requireVerified(c *config.Config) bool {
	return c.EmailVerification == config.VerificationRequired
}
