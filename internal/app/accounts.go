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
func newAccounts(
	b *base, e *entrance, who api.Caller, l *flow.EmailLinks, known password.Breaches, factors *flow.Factors, consents *flow.Consents,
	own *personal, apps *provider, elsewhere *upstreams,
) (capability, error) {
	c := b.config
	register := &flow.Register{
		Core: b.core(), Accounts: newAccountMaker(b, l), Notices: l.Guard.Notices, EmailLinks: l, Limits: l.Limits, Consents: consents,
		Open: c.Registration == config.RegistrationOpen, RequireVerified: requireVerified(c),
		Passwordless: c.Passwordless,
	}
	notMe := &flow.NotMe{EmailLinks: l}
	verify := &flow.Verify{EmailLinks: l, Factors: factors.Store, Passwordless: c.Passwordless}
	passwords, addresses := &flow.Passwords{EmailLinks: l}, &flow.Addresses{EmailLinks: l}
	accounts := api.Accounts{Caller: who, Register: register, Profile: &flow.Profile{Core: b.core()}}
	secrets := api.Passwords{Caller: who, Passwords: passwords, Factors: factors, Strength: &flow.Strength{Policy: strengthPolicy(c, known), Count: b.count}}
	emails := api.Addresses{Caller: who, Verify: verify, Addresses: addresses, NotMe: notMe}
	pages := page.Links{Visitor: e.Visitor, Register: register, Verify: verify, Passwords: passwords, Addresses: addresses, NotMe: notMe, Factors: factors,
		Consents: consents}
	mine := page.Account{Entrance: e.Entrance, SignOut: e.out, Profile: e.profile}
	mine.Sections = []page.Section{mine.ProfileSection(addresses, factors), mine.SigningInSection(passwords, factors), mine.FactorsSection(factors)}
	if factors.Keys != nil {
		mine.Sections = append(mine.Sections, mine.PasskeysSection(factors))
	}
	mine.Sections = append(mine.Sections, mine.IdentitiesSection(elsewhere.pages), mine.DevicesSection(), mine.ApplicationsSection(apps.mine),
		mine.ConsentsSection(consents), mine.ActivitySection(factors, notMe),
		mine.OwnDataSection(factors, own.exports, own.exporter, own.erasures))
	return capability{name: "accounts", routes: []web.Routes{accounts.Routes(), secrets.Routes(), emails.Routes(), pages.Routes(), mine.Routes()}}, nil
}

func newAccountMaker(b *base, l *flow.EmailLinks) *flow.NewAccounts {
	return &flow.NewAccounts{Hasher: l.Hasher, Policy: l.Policy, Random: b.random, New: l.New, Now: b.now}
}

// newSetup makes the first administrator.
func newSetup(b *base, p *page.Pages, who api.Caller, l *flow.EmailLinks, e *ending) (*flow.Setup, capability, error) {
	setup := &flow.Setup{Core: b.core(), Accounts: newAccountMaker(b, l), Random: b.random, Demand: e.second.Demand, Factors: e.store}
	pages := page.Setup{Forms: forms(p, who), Setup: setup}
	return setup, capability{name: "set-up", routes: []web.Routes{pages.Routes()}}, nil
}
