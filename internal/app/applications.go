package app

import (
	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/application"
)

// newApplications serves registered applications, proxies that ask before they let a
// request through, and whoever wants to know where things are.
func newApplications(b *base, t *tokens, who api.Caller) (*flow.AuthenticateClient, capability, error) {
	c := b.config
	registry := client.NewRegistry(b.db, c.RevocationStale, b.now)
	registry.Reserved, registry.Console = reservedAudiences(c), c.AdminURL
	registry.Remote = &client.RemoteKeys{Get: outbound.NewGetter(!c.Production()).Get, Now: b.now}
	clients := &flow.AuthenticateClient{Core: b.core(), Clients: registry, Revocations: t.revoked}
	about := api.Tokens{
		Applications: api.Applications{Clients: clients}, Issuer: c.JWTIssuer, ClientID: c.JWTClientID,
		Introspection: &application.Introspect{Core: b.core(), Authenticate: who.Authenticate, Sessions: t.sessions},
		RevokeToken:   &application.RevokeToken{Core: b.core(), Authenticate: who.Authenticate, Sessions: t.sessions},
		Granted:       newUserInfo(b, t, clients), Credentials: newCredentials(b, t, clients),
		Follow: &flow.Follow{Revocations: t.revoked, Stopping: b.stopping, Count: b.count},
	}
	forward := api.ForwardAuth{
		Caller: who, PublicURL: c.PublicURL, Clients: clients, ForwardAuth: &application.ForwardAuth{Core: b.core(), Authenticate: who.Authenticate},
	}
	discovery := api.Discovery{Tokens: t.issuer, Now: b.now}
	return clients, capability{name: "applications", routes: []web.Routes{about.Routes(), forward.Routes(), discovery.Routes()}}, nil
}
