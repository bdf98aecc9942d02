package app

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/door/page"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/application"
	"github.com/gatehouse-auth/gatehouse/internal/flow/openid"
)

// provider signs people in to applications with OpenID Connect.
type provider struct {
	mine *openid.Applications
}

// userInfo is the endpoint that is the audience of applications' tokens.
const userInfo = "/oauth2/userinfo"

// newProvider serves the protocol's endpoints and pages.
func newProvider(
	b *base, pages *page.Pages, t *tokens, who api.Caller, clients *flow.AuthenticateClient, e *entrance, notices *flow.Notices,
) (*provider, capability, error) {
	c := b.config
	audience := c.PublicURL + userInfo
	mine := &openid.Applications{Core: b.core(), Clients: clients, Grants: t.grants, Tokens: t.issuer, Revoked: t.revoked, Audience: audience}
	authorize := &openid.Authorize{
		Core: b.core(), Clients: clients, Grants: t.grants, Tokens: t.issuer, Revoked: t.revoked, Random: b.random,
		Key: func() []byte { return b.ring.Key(keyring.Request) }, Ready: t.signsID,
	}
	exchange := &openid.Exchange{
		Core: b.core(), Grants: t.grants, Tokens: t.issuer, Revoked: t.revoked, Notices: notices, Demand: demand(c), Audience: audience,
	}
	door := oauth.Provider{
		Issuer: c.JWTIssuer, Clients: clients, Applications: mine, Authorize: authorize, Exchange: exchange,
		UserInfo: &openid.UserInfo{Core: b.core(), Clients: clients, Grants: t.grants, Tokens: t.issuer, Revoked: t.revoked, Audience: audience},
		Service: &api.Tokens{
			Issuer: c.JWTIssuer, ClientID: c.JWTClientID,
			Introspection: &application.Introspect{Core: b.core(), Authenticate: who.Authenticate, Sessions: t.sessions},
			RevokeToken:   &application.RevokeToken{Core: b.core(), Authenticate: who.Authenticate, Sessions: t.sessions},
		},
	}
	discovery := oauth.Discovery{Issuer: c.JWTIssuer, PublicURL: c.PublicURL}
	pages.Asks = &page.Asking{Authorize: authorize}
	screens := page.Authorize{
		Entrance: e.Entrance, Authorize: authorize, EndSession: &openid.EndSession{Core: b.core(), Clients: clients, Tokens: t.issuer},
		SignOut: e.out, Profile: e.profile, Issuer: c.JWTIssuer, On: discovery.Provides(),
	}
	guard := openid.Guard{Exchange: exchange, Clients: clients, Random: b.random, Key: authorize.Key, Issuer: c.PublicURL}
	guarded := page.Guarded{Guard: &guard, Cookies: who.Cookies, On: discovery.Provides()}
	own := api.OwnApplications{Caller: who, Applications: mine}
	return &provider{mine}, capability{
		name: "provider", routes: []web.Routes{own.Routes(), door.Routes(), discovery.Routes(), screens.Routes(), guarded.Routes()},
		jobs: []job.Job{forgetGrants(b), forgetPushed(b), forgetAssertions(b)},
	}, nil
}

// signsID makes sure that there is a key for ID tokens: the first that asks for one waits some seconds.
func (t *tokens) signsID(ctx context.Context) error {
	if t.issuer.SignsID() {
		return nil
	}
	if err := t.ring.EnsureIDSign(ctx, t.db, t.now()); err != nil {
		return err
	}
	return t.revoked.Await(ctx)
}

// operatorSignsID is the same for a command of the operator's: whoever registers an application waits, and nobody who signs in.
func operatorSignsID(ctx context.Context, c *config.Config, d *db.DB) error {
	ring, err := operatorRing(ctx, c, d)
	if err != nil {
		return err
	}
	return ring.EnsureIDSign(ctx, d, time.Now())
}

// forgetPushed deletes requests that were pushed: often, since applications write a row for each visitor.
func forgetPushed(b *base) job.Job {
	return inBatches(b.db, "forget-pushed-requests", time.Minute, func(tx *db.Tx, limit int) (int64, error) {
		return grant.ForgetPushed(tx, b.now(), limit)
	})
}

// forgetAssertions deletes what applications have signed to show who they are, once it has expired.
func forgetAssertions(b *base) job.Job {
	return inBatches(b.db, "forget-client-assertions", time.Minute, func(tx *db.Tx, limit int) (int64, error) {
		return client.ForgetAssertions(tx, b.now(), limit)
	})
}

// forgetGrants deletes those that ended a week ago.
func forgetGrants(b *base) job.Job {
	return sweeping(b.db, "forget-grants", time.Hour, func() time.Time { return b.now().Add(-grant.Keep) }, grant.Forget)
}
