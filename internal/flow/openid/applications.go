package openid

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Applications are those that a person signs in to with their account.
type Applications struct {
	flow.Core
	Clients *flow.AuthenticateClient
	Grants  *grant.Store
	Tokens  *token.Issuer
	Revoked *token.Revocations
}

// Application is one of them.
type Application struct {
	grant.Allowed
	Title string
	// At are the resources of it that are registered, in the order of their URIs, each with the scopes that it has there.
	At []client.Resource
}

// ErrNotAllowed is for an application that has nothing of the person.
var ErrNotAllowed = fault.New(fault.NotFound, "application_not_found", "You are not signed in to this application, and it has no consent of yours.")

// List returns a person's applications.
func (f *Applications) List(ctx context.Context, who flow.Identity) (out []Application, err error) {
	var list []grant.Allowed
	err = f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = grant.AllowedBy(tx, who.Account, f.Now())
		return err
	})
	all, failed := f.Clients.Resources(ctx)
	err = errors.Join(err, failed)
	for _, a := range list {
		c, ok, failed := f.Clients.Named(ctx, a.Client)
		err = errors.Join(err, failed)
		if ok {
			out = append(out, Application{a, c.Shown(), registered(all, a.Resources)})
		}
	}
	return out, err
}

func registered(all client.Resources, allowed map[string][]string) (list []client.Resource) {
	for uri, scopes := range allowed {
		if r, ok := all[uri]; ok {
			r.Scopes = slices.DeleteFunc(slices.Clone(r.Scopes), func(s client.Scope) bool { return !slices.Contains(scopes, s.Name) })
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b client.Resource) int { return strings.Compare(a.URI, b.URI) })
	return list
}

// Withdraw takes the consent to an application back, and ends all that it was granted.
func (f *Applications) Withdraw(ctx context.Context, who flow.Identity, id string, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "withdraw_application")
	err := f.DB.Write(ctx, func(tx *db.Tx) error {
		had, err := grant.Withdraw(tx, who.Account, id)
		if err != nil {
			return err
		}
		ended, err := grant.EndClient(tx, who.Account, id, grant.WhyWithdrawn, f.Now())
		if err := flow.EndGrants(tx, f.Revoked, ended, err); err != nil {
			return err
		}
		if !had && len(ended) == 0 {
			return ErrNotAllowed
		}
		if err := grant.TellClient(tx, who.Account, id, f.Now()); err != nil {
			return err
		}
		f.record(tx, who.Account, id, grant.WhyWithdrawn, from)
		return nil
	})
	return run.End(err)
}

func (f *Applications) record(tx *db.Tx, account, id, why string, from event.Origin) {
	f.Events.Append(tx, event.Event{
		Kind: event.GrantEnded, Outcome: event.Success, Account: account, Origin: from, Detail: event.Detail{Client: id, Reason: why},
	})
}

// Revoke ends the grant of a token that an application has brought, with all its tokens. A token that is not good, or another
// application's, is no fault (RFC 7009 section 2.2).
func (f *Applications) Revoke(ctx context.Context, by client.Client, t string, from event.Origin) error {
	if t == "" {
		return f.Count.End("revoke_token", flow.Required("token"))
	}
	ctx, run := f.Count.Begin(ctx, "revoke_token")
	id, err := f.grantOf(t, by)
	ok := false
	if err == nil && id != "" {
		err = f.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) (err error) {
			var account string
			if account, ok, err = grant.End(tx, id, by.ID, grant.WhyRevoked, f.Now()); err != nil || !ok {
				return err
			}
			f.Revoked.EndSession(tx, id)
			f.record(tx, account, by.ID, grant.WhyRevoked, from)
			return nil
		})
	}
	if err == nil && !ok {
		run.As("inactive")
		return nil
	}
	return run.End(err)
}

// grantOf names the grant of a token; it is empty for one that is not good. A refresh token counts even if it was replaced.
func (f *Applications) grantOf(t string, by client.Client) (string, error) {
	if p, turn := f.Grants.Present(t); turn == "" {
		return p.Grant(), nil
	}
	c, err := f.Tokens.VerifyGranted(t, f.Now())
	switch {
	case err == nil && c.ClientID == by.ID:
		return c.Session, nil
	case err == nil, fault.KindOf(err) == fault.Unauthenticated:
		return "", nil
	}
	return "", err
}
