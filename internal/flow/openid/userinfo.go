package openid

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// UserInfo tells an application who somebody is, by the access token that it was given.
type UserInfo struct {
	flow.Core
	Clients *flow.AuthenticateClient
	Grants  *grant.Store
	Tokens  *token.Issuer
	Revoked *token.Revocations
	// Endpoint is the userinfo endpoint: the audience of the tokens that it takes.
	Endpoint string
}

// Told is what the endpoint answers.
type Told struct {
	Subject string `json:"sub"`
	token.Person
}

var errInsufficientScope = fault.New(fault.Denied, "insufficient_scope", "This needs an access token with the scope openid.")

// Do tells it. The faults are token.ErrInvalid, token.ErrUnknown and insufficient_scope.
func (f *UserInfo) Do(ctx context.Context, access string, from event.Origin) (t Told, err error) {
	ctx, run := f.Count.Begin(ctx, "userinfo")
	t, err = f.do(ctx, access, from)
	return t, run.End(err)
}

func (f *UserInfo) do(ctx context.Context, access string, from event.Origin) (t Told, err error) {
	c, err := f.claims(ctx, access, from)
	if err == nil && c.Audience != f.Endpoint {
		err = f.invalid(errAudience, from)
	}
	if err != nil {
		return t, err
	}
	if !grant.Has(c.Scope, grant.OpenID) {
		return t, errInsufficientScope
	}
	var who account.Account
	err = f.DB.ReadShared(ctx, func(tx *db.Tx) (err error) {
		who, err = account.ByID(tx, c.Subject)
		return err
	})
	if errors.Is(err, account.ErrNotFound) || err == nil && !who.DisabledAt.IsZero() {
		err = token.ErrInvalid.Because(flow.Reason("revoked"))
	}
	if err != nil {
		return t, err
	}
	owner := grant.Owner{Email: who.Email, Name: who.Name, Locale: who.Locale, Verified: !who.VerifiedAt.IsZero(), Active: true}
	return Told{Subject: c.Subject, Person: person(owner, c.Scope, c.Roles)}, nil
}

// errAudience is the cause of an ErrInvalid for a token that is a resource's.
var errAudience = errors.New("it is for a resource")

// invalid counts a token that is not good.
func (f *UserInfo) invalid(why error, from event.Origin) error {
	f.Tally.Add(event.SuspiciousActivity, "access_token_invalid", from)
	return token.ErrInvalid.Because(why)
}

// claims returns what a good access token of an application says, while that is registered.
func (f *UserInfo) claims(ctx context.Context, access string, from event.Origin) (*token.Claims, error) {
	c, err := flow.VerifyGranted(ctx, f.Tokens, f.Revoked, access, f.Now)
	if err != nil {
		if !errors.Is(err, token.ErrExpired) && !errors.Is(err, token.ErrUnknown) {
			f.Tally.Add(event.SuspiciousActivity, "access_token_invalid", from)
		}
		return nil, err
	}
	if err := f.Revoked.Check(ctx, c); err != nil {
		if errors.Is(err, token.ErrInvalid) {
			err = token.ErrInvalid.Because(flow.Reason("revoked"))
		}
		return nil, err
	}
	of, ok, err := f.Clients.Named(ctx, c.ClientID)
	if err == nil && (!ok || !of.DisabledAt.IsZero()) {
		err = token.ErrInvalid.Because(flow.Reason("revoked"))
	}
	return c, err
}

// Introspection is what an application is told of a token of its own, or for a resource that it serves: of any other, nothing.
type Introspection struct {
	Access *token.Claims
	Grant  *grant.Grant
}

// Granted reports whether a token is one that an application was granted, good or not: who asks about it asks [UserInfo.Introspect].
func (f *UserInfo) Granted(ctx context.Context, t string) bool {
	if _, turn := f.Grants.Present(t); turn == "" {
		return true
	}
	_, err := flow.VerifyGranted(ctx, f.Tokens, f.Revoked, t, f.Now)
	return err == nil
}

// Introspect tells an application whether a token of its own, or for a resource that it serves, is good; nil is that it is not, or
// another's.
func (f *UserInfo) Introspect(ctx context.Context, by client.Client, t string, from event.Origin) (*Introspection, error) {
	ctx, run := f.Count.Begin(ctx, "introspect")
	told, err := f.introspect(ctx, by, t, from)
	if err == nil && told == nil {
		run.As("inactive")
		return nil, nil
	}
	return told, run.End(err)
}

func (f *UserInfo) introspect(ctx context.Context, by client.Client, t string, from event.Origin) (told *Introspection, err error) {
	if t == "" {
		return nil, flow.Required("token")
	}
	if p, turn := f.Grants.Present(t); turn == "" {
		err := f.DB.Read(ctx, func(tx *db.Tx) error {
			g, ok, err := f.Grants.Look(tx, p, f.Now())
			if ok && g.Client == by.ID && !f.Revoked.Cut(g.AuthAt) {
				told = &Introspection{Grant: &g}
			}
			return err
		})
		return told, err
	}
	c, err := f.claims(ctx, t, from)
	if err == nil && c.ClientID != by.ID {
		var all client.Resources
		if all, err = f.Clients.Resources(ctx); err == nil && (!by.Serves(c.Audience) || all[c.Audience].URI == "") {
			return nil, nil
		}
	}
	switch {
	case err == nil:
		return &Introspection{Access: c}, nil
	case fault.KindOf(err) == fault.Unauthenticated:
		return nil, nil
	}
	return nil, err
}
