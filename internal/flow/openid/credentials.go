package openid

import (
	"context"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Credentials gives a service access tokens for itself, in which there is no person (client credentials, RFC 6749 section 4.4).
type Credentials struct {
	flow.Core
	Clients *flow.AuthenticateClient
	Tokens  *token.Issuer
	Revoked *token.Revocations
	Random  secret.Random
}

var (
	errOnlyServices = fault.New(fault.Invalid, "unauthorized_client",
		"Only a service gets tokens for itself: an application that people sign in to acts for them.")
	errNoTarget = fault.New(fault.Invalid, "invalid_target", "resource is missing: a service gets tokens for a resource that it is registered for.")
)

// Issue signs one. Without a scope it has all that the service may have at the resource.
func (f *Credentials) Issue(ctx context.Context, c client.Client, scope, resource string) (Tokens, error) {
	ctx, run := f.Count.Begin(ctx, "credentials")
	t, err := f.issue(ctx, c, scope, resource)
	return t, run.End(err)
}

func (f *Credentials) issue(ctx context.Context, c client.Client, scope, resource string) (t Tokens, err error) {
	if c.Type != client.Service {
		return t, errOnlyServices
	}
	if resource == "" {
		resource = c.Settings.DefaultResource
	}
	if resource == "" {
		return t, errNoTarget
	}
	all, err := f.Clients.Resources(ctx)
	if err != nil {
		return t, err
	}
	r, ok := all[resource]
	if !ok || !c.MayAsk(r) {
		return t, errTarget
	}
	var list []string
	for _, s := range r.Scopes {
		if c.MayHave(s.Name) && (scope == "" || strings.Contains(" "+scope+" ", " "+s.Name+" ")) {
			list = append(list, s.Name)
		}
	}
	if scope != "" && len(list) == 0 {
		return t, errScope
	}
	sid, err := f.sid(ctx, c)
	if err != nil {
		return t, err
	}
	now := f.Now()
	t = Tokens{Expires: f.Tokens.Life(), Scope: strings.Join(list, " ")}
	t.Access, err = f.Tokens.Issue(token.Subject{
		Account: c.ID, Session: sid, AMR: []string{}, AuthAt: now, Audience: r.URI, Client: c.ID, Scope: t.Scope,
	}, now)
	return t, err
}

// sid is the application's own, from memory; the first time it is made. One that was replaced meanwhile is revoked, so a token that
// still has it is dead.
func (f *Credentials) sid(ctx context.Context, c client.Client) (sid string, err error) {
	if c.SID != "" {
		return c.SID, nil
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		var ok bool
		if sid, ok, err = client.OwnSID(tx, f.Random, c.ID, f.Now()); err != nil {
			return err
		}
		if !ok {
			return flow.ErrInvalidClient
		}
		f.Revoked.ClientsChanged(tx, f.Random)
		return nil
	})
	return sid, err
}

// End ends all tokens that a service has got for itself, by one of them (RFC 7009). What is none is no fault.
func (f *Credentials) End(ctx context.Context, c client.Client, t string, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "revoke_token")
	said, err := flow.VerifyGranted(ctx, f.Tokens, f.Revoked, t, f.Now)
	if err != nil || said.ClientID != c.ID || said.Subject != c.ID {
		run.As("inactive")
		return nil
	}
	return run.End(f.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		held, err := client.Hold(tx, c.ID, time.Time{})
		if err != nil || held.SID != said.Session {
			return err
		}
		f.Revoked.EndSession(tx, held.SID)
		f.Revoked.ClientsChanged(tx, f.Random)
		f.Events.Append(tx, event.Event{
			Kind: event.GrantEnded, Outcome: event.Success, Origin: from, Detail: event.Detail{By: "client", Client: c.ID, Reason: "revoked"},
		})
		return client.DropSID(tx, c.ID)
	}))
}
