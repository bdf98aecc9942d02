package app

import (
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/page"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// newAccounts registers accounts, verifies and changes their addresses, and sets
// their passwords anew.
func newAccounts(b *base, who api.Caller, l *flow.EmailLinks, known password.Breaches) (capability, error) {
	c := b.config
	register := &flow.Register{
		Core: b.core(), Accounts: newAccountMaker(b, l.Hasher, l.Policy), Notices: l.Guard.Notices, EmailLinks: l, Limits: l.Limits,
		Open: c.Registration == config.RegistrationOpen, RequireVerified: requireVerified(c),
	}
	notMe := &flow.NotMe{EmailLinks: l}
	verify, passwords, addresses := &flow.Verify{EmailLinks: l}, &flow.Passwords{EmailLinks: l}, &flow.Addresses{EmailLinks: l}
	accounts := api.Accounts{Caller: who, Register: register, Profile: &flow.Profile{Core: b.core()}}
	secrets := api.Passwords{Caller: who, Passwords: passwords, Strength: &flow.Strength{Policy: strengthPolicy(c, known), Count: b.count}}
	emails := api.Addresses{Caller: who, Verify: verify, Addresses: addresses, NotMe: notMe}
	pages := page.Links{
		Visitor: visitor(who), Register: register, Verify: verify, Passwords: passwords, Addresses: addresses,
		NotMe: notMe, MinLength: l.Policy.MinLength,
	}
	return capability{name: "accounts", routes: []web.Routes{accounts.Routes(), secrets.Routes(), emails.Routes(), pages.Routes()}}, nil
}

func newAccountMaker(b *base, h *password.Hasher, policy password.Policy) *flow.NewAccounts {
	return &flow.NewAccounts{Hasher: h, Policy: policy, Random: b.random, SingleLabels: !b.config.Production(), Now: b.now}
}

// newSetup makes the first administrator.
func newSetup(b *base, who api.Caller, l *flow.EmailLinks) (*flow.Setup, capability, error) {
	setup := &flow.Setup{Core: b.core(), Accounts: newAccountMaker(b, l.Hasher, l.Policy), Random: b.random}
	pages := page.Setup{Forms: page.Forms{Cookies: who.Cookies}, Setup: setup}
	return setup, capability{name: "set-up", routes: []web.Routes{pages.Routes()}}, nil
}
