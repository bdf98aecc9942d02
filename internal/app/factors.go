package app

import (
	"context"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/page"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// ending is how sign-ins end: at once, or by a second step.
type ending struct {
	store  *factor.Store
	end    *flow.SignInEnd
	second *flow.SecondStep
	agree  *flow.Agree
	keys   *flow.PasskeyCheck
}

// newSecondStep makes what ends sign-ins.
func newSecondStep(
	b *base, t *tokens, g *flow.Guard, limits *flow.Limits, consents *flow.Consents, elsewhere *upstream.Providers,
) (*ending, capability, error) {
	store := factor.NewStore(b.ring.Unrevoked(keyring.Factor), b.random)
	e := &ending{store: store, end: &flow.SignInEnd{
		Core: b.core(), Sessions: t.sessions, Tokens: t.issuer, Revoked: t.revoked, Guard: g, Consents: consents, Factors: store, Providers: elsewhere,
	}}
	e.agree = &flow.Agree{Core: b.core(), End: e.end, Guard: g, Demand: demand(b.config)}
	keys, err := newPasskeys(b, e.store)
	if err != nil {
		return nil, capability{}, err
	}
	e.keys = &flow.PasskeyCheck{Core: b.core(), Passkeys: keys, Alone: b.config.Passkeys == config.PasskeysOn, Guard: g}
	e.second = &flow.SecondStep{Core: b.core(), Factors: e.store, Guard: g, Limits: limits, End: e.end, Demand: demand(b.config), Keys: e.keys}
	return e, capability{name: "second step", jobs: []job.Job{abandonPending(e.second), forgetOffers(b), forgetChallenges(b)}, begin: b.sayFactors}, nil
}

// newPasskeys makes what makes passkeys and judges them; nil where they are off.
func newPasskeys(b *base, s *factor.Store) (*factor.Passkeys, error) {
	c := b.config
	if c.Passkeys == config.PasskeysOff || c.PasskeyRPID == "" {
		return nil, nil //nolint:nilnil // there are none
	}
	challenges := factor.NewChallenges(b.ring.Unrevoked(keyring.Challenge), b.ring.Epoch, b.random)
	return factor.NewPasskeys(s, challenges, factor.RelyingParty{ID: c.PasskeyRPID, Name: c.ServiceName, Origins: c.AllPasskeyOrigins()})
}

// sayFactors says at a start whom the settings about factors shut out: passkeys that rest since PUBLIC_URL has another host,
// and administrators who have to add a factor before they get a session, programs among them.
func (b *base) sayFactors(ctx context.Context) error {
	const named = 20
	var (
		p    factor.Posture
		bare []account.Account
	)
	err := b.db.Read(ctx, func(tx *db.Tx) (err error) {
		if p, err = factor.PostureOf(tx, b.config.PasskeyRPID, b.now()); err == nil && asksAdministrators(b.config) {
			bare, err = account.MayHaveFactors(tx, account.Admin, true, "", named+1)
		}
		return err
	})
	if err != nil {
		return err
	}
	if p.Resting > 0 {
		b.log.Warn("Passkeys are of another host than PASSKEY_RP_ID: they count as second factors, and open nothing. See docs/guides/passkeys.md.",
			"rp_id", b.config.PasskeyRPID, "passkeys", p.Resting, "accounts_with_nothing_else", p.Stranded)
	}
	if len(bare) > 0 {
		ids := make([]string, 0, named)
		for _, a := range bare[:min(named, len(bare))] {
			ids = append(ids, a.ID)
		}
		b.log.Warn("Administrators have no second factor, and add one at their next sign-in. A program that signs in as one needs an app's secret of its own. "+
			"See gatehouse user factor list --role admin --without.", "accounts", strings.Join(ids, " "), "more", len(bare) > named)
	}
	return nil
}

// demand is whose accounts must have a second factor.
func demand(c *config.Config) flow.Demand {
	var d flow.Demand
	d.Roles, d.All = c.SecondFactorRoles(false)
	d.KeyRoles, d.AllKeys = c.SecondFactorRoles(true)
	d.Grace = c.FactorGrace
	return d
}

// operatorSealing is what factors are sealed with, for an operator's command.
func operatorSealing(ctx context.Context, c *config.Config, d *db.DB) (operate.Sealing, error) {
	ring, err := operatorRing(ctx, c, d)
	if err != nil {
		return operate.Sealing{}, err
	}
	return factorSealing(ring), nil
}

func factorSealing(ring *keyring.Ring) operate.Sealing {
	return operate.Sealing{Store: factor.NewStore(ring.Unrevoked(keyring.Factor), secret.Random{}), Since: ring.Keys(keyring.Factor)[0].CreatedAt}
}

// newFactors lets people add second factors, and remove them.
func newFactors(b *base, who api.Caller, l *flow.EmailLinks, e *ending, enter *entrance) (*flow.Factors, capability, error) {
	f := &flow.Factors{EmailLinks: l, Store: e.store, End: e.end, Issuer: b.config.TOTPIssuer, Keys: e.keys.Passkeys, Demand: demand(b.config),
		Passwordless: b.config.Passwordless}
	routes := api.Factors{Caller: who, Factors: f, Second: e.second, SignOut: enter.out}
	alone := &flow.PasskeySignIn{PasskeyCheck: e.keys, Limits: e.second.Limits, End: e.end}
	keys := api.Passkeys{Factors: &routes, Alone: alone, Party: e.keys.Passkeys, PublicURL: b.config.PublicURL}
	pages := page.Enrol{Entrance: enter.Entrance, Factors: f, Second: e.second, SignOut: enter.out}
	return f, capability{name: "factors", routes: []web.Routes{routes.Routes(), keys.Routes(), pages.Routes()}, jobs: []job.Job{resetDue(f)}}, nil
}

// abandonPending looks at sign-ins that have waited for their second step until they ran out.
func abandonPending(second *flow.SecondStep) job.Job {
	return job.Job{Name: "abandon-sign-ins", Every: time.Minute, Lease: 10 * time.Minute, Run: func(ctx context.Context) error {
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = second.Abandon(ctx); err != nil {
				return err
			}
		}
		return ctx.Err()
	}}
}

// resetDue does operators' resets of factors that are due.
func resetDue(f *flow.Factors) job.Job {
	return job.Job{Name: "reset-factors", Every: time.Minute, Lease: 10 * time.Minute, Run: func(ctx context.Context) error {
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = f.ResetDue(ctx); err != nil {
				return err
			}
		}
		return ctx.Err()
	}}
}

// forgetChallenges deletes spent challenges that are refused for their age by now.
func forgetChallenges(b *base) job.Job {
	return inBatches(b.db, "forget-challenges", time.Hour, func(tx *db.Tx, limit int) (int64, error) {
		return factor.ForgetChallenges(tx, b.now(), limit)
	})
}

// forgetOffers deletes secrets that nobody has confirmed.
func forgetOffers(b *base) job.Job {
	return inBatches(b.db, "forget-factor-offers", time.Hour, func(tx *db.Tx, limit int) (int64, error) {
		return factor.ForgetOffers(tx, b.now(), limit)
	})
}
