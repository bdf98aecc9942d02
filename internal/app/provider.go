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
	mine  *openid.Applications
	guard *openid.Guard
}

// userInfo is the endpoint that is the audience of applications' tokens.
const userInfo = "/oauth2/userinfo"

// newProvider serves the protocol's endpoints and pages.
func newProvider(
	b *base, pages *page.Pages, t *tokens, who api.Caller, clients *flow.AuthenticateClient, e *entrance, notices *flow.Notices,
	limits *flow.Limits,
) (*provider, capability, error) {
	c := b.config
	endpoint := c.PublicURL + userInfo
	mine := &openid.Applications{Core: b.core(), Clients: clients, Grants: t.grants, Tokens: t.issuer, Revoked: t.revoked}
	authorize := &openid.Authorize{
		Core: b.core(), Clients: clients, Grants: t.grants, Tokens: t.issuer, Revoked: t.revoked, Random: b.random,
		UserInfo: endpoint, Key: func() []byte { return b.ring.Key(keyring.Request) }, Ready: t.signsID,
	}
	exchange := &openid.Exchange{
		Core: b.core(), Clients: clients, Grants: t.grants, Tokens: t.issuer, Revoked: t.revoked, Notices: notices, Demand: demand(c), UserInfo: endpoint,
		Ready: t.signsID,
	}
	told, own := newUserInfo(b, t, clients), newCredentials(b, t, clients)
	door := oauth.Provider{
		Issuer: c.JWTIssuer, Clients: clients, Applications: mine, Authorize: authorize,
		Exchange: exchange,
		UserInfo: told, Credentials: own,
		Service: &api.Tokens{
			Issuer: c.JWTIssuer, ClientID: c.JWTClientID,
			Introspection: &application.Introspect{Core: b.core(), Authenticate: who.Authenticate, Sessions: t.sessions},
			RevokeToken:   &application.RevokeToken{Core: b.core(), Authenticate: who.Authenticate, Sessions: t.sessions},
			Granted:       told, Credentials: own,
		},
	}
	door.Device = &openid.Device{Core: b.core(), Exchange: door.Exchange, Limits: limits}
	devices := page.Device{Entrance: e.Entrance, Device: door.Device, Profile: e.profile, On: c.JWTIssuer == c.PublicURL}
	door.Register = &openid.Register{
		Core: b.core(), Authorize: authorize, Limits: limits, Random: b.random, Console: c.AdminURL,
		Off: c.ClientRegistration == config.ClientRegistrationOff,
	}
	if c.ClientRegistration == config.ClientRegistrationToken {
		door.Register.Token = c.ClientRegistrationToken.Reveal()
	}
	discovery := &oauth.Discovery{Issuer: c.JWTIssuer, PublicURL: c.PublicURL, Registers: !door.Register.Off}
	pages.Asks = &page.Asking{Authorize: authorize}
	screens := page.Authorize{
		Entrance: e.Entrance, Authorize: authorize, EndSession: &openid.EndSession{Core: b.core(), Clients: clients, Tokens: t.issuer},
		SignOut: e.out, Profile: e.profile, Issuer: c.JWTIssuer, On: discovery.Provides(),
	}
	guard := &openid.Guard{Exchange: exchange, Clients: clients, Random: b.random, Key: authorize.Key, Issuer: c.PublicURL}
	guarded := page.Guarded{Guard: guard, Cookies: who.Cookies, On: discovery.Provides()}
	theirs := api.OwnApplications{Caller: who, Applications: mine}
	return &provider{mine, guard}, capability{
		name: "provider", routes: []web.Routes{theirs.Routes(), door.Routes(), discovery.Routes(), screens.Routes(), devices.Routes(), guarded.Routes()},
		jobs: []job.Job{forgetGrants(b), forgetPushed(b), forgetAssertions(b), forgetDeviceRequests(b),
			inBatches(b.db, "forget-self-registered", time.Hour, door.Register.Forget)},
	}, nil
}

// newUserInfo tells of tokens that applications were granted.
func newUserInfo(b *base, t *tokens, clients *flow.AuthenticateClient) *openid.UserInfo {
	return &openid.UserInfo{
		Core: b.core(), Clients: clients, Grants: t.grants, Tokens: t.issuer, Revoked: t.revoked, Endpoint: b.config.PublicURL + userInfo,
	}
}

// newCredentials gives services tokens for themselves.
func newCredentials(b *base, t *tokens, clients *flow.AuthenticateClient) *openid.Credentials {
	return &openid.Credentials{Core: b.core(), Clients: clients, Tokens: t.issuer, Revoked: t.revoked, Random: b.random}
}

// reservedAudiences are those of other tokens, and their issuer: no resource has one of these URIs.
func reservedAudiences(c *config.Config) []string {
	return []string{c.PublicURL, c.JWTIssuer, c.JWTAudience, c.PublicURL + userInfo}
}

// signsID makes sure that there is a key for ID tokens of an algorithm: the first that asks for one of RS256 waits some seconds.
func (t *tokens) signsID(ctx context.Context, algorithm string) error {
	if t.issuer.SignsID(algorithm) {
		return nil
	}
	if err := t.ring.EnsureIDSign(ctx, t.db, algorithm, t.now()); err != nil {
		return err
	}
	return t.revoked.Await(ctx)
}

// operatorSignsID is the same for a command of the operator's: whoever registers an application waits, and nobody who signs in.
func operatorSignsID(ctx context.Context, c *config.Config, d *db.DB, algorithm string) error {
	ring, err := operatorRing(ctx, c, d)
	if err != nil {
		return err
	}
	return ring.EnsureIDSign(ctx, d, algorithm, time.Now())
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

// forgetDeviceRequests deletes devices that nobody has let in in time.
func forgetDeviceRequests(b *base) job.Job {
	return inBatches(b.db, "forget-device-requests", time.Minute, func(tx *db.Tx, limit int) (int64, error) {
		return grant.ForgetDevices(tx, b.now(), limit)
	})
}

// forgetGrants deletes those that ended a week ago.
func forgetGrants(b *base) job.Job {
	return sweeping(b.db, "forget-grants", time.Hour, func() time.Time { return b.now().Add(-grant.Keep) }, grant.Forget)
}

// beforeRegistration reports whether a path is one that an application needs before it is registered: nobody can know its origin yet.
func beforeRegistration(path string) bool {
	switch path {
	case "/oauth2/register", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server":
		return true
	}
	return false
}
