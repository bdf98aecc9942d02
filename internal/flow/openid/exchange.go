package openid

import (
	"context"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/rotation"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Exchange trades a code, or a refresh token, for tokens.
type Exchange struct {
	flow.Core
	Clients *flow.AuthenticateClient
	Grants  *grant.Store
	Tokens  *token.Issuer
	Revoked *token.Revocations
	Notices *flow.Notices
	// Demand says whose accounts must have a second factor.
	Demand flow.Demand
	// UserInfo is the userinfo endpoint: the audience of tokens for no resource.
	UserInfo string
	// Ready makes the key for ID tokens of an algorithm, if there is none yet, or waits until it is known here.
	Ready func(ctx context.Context, algorithm string) error
}

// Tokens are what an application gets.
type Tokens struct {
	Access  string
	Expires time.Duration
	Refresh string
	// ID is the ID token; empty without the scope openid.
	ID    string
	Scope string
}

// errGrant is one answer for all codes and refresh tokens that don't work (RFC 6749 section 5.2).
var (
	errGrant = fault.New(fault.Invalid, "invalid_grant",
		"The code or the refresh token is not good: it was used, has expired, is of another application, or does not go with the redirect_uri or the verifier.")
	errScope = fault.New(fault.Invalid, "invalid_scope", "The scope goes beyond what was granted.")
)

// Brought is what an application brings to exchange a code.
type Brought struct {
	Code, Redirect, Verifier string
	// Resource is what the access token is to be for; empty for what the grant says.
	Resource string
}

// Code exchanges a code. Of several who bring it rightly one gets tokens, and the next ends them.
func (f *Exchange) Code(ctx context.Context, c client.Client, in Brought, from event.Origin) (Tokens, error) {
	ctx, run := f.Count.Begin(ctx, "exchange")
	t, err := f.code(ctx, c, in, from)
	return t, run.End(err)
}

func (f *Exchange) code(ctx context.Context, c client.Client, in Brought, from event.Origin) (t Tokens, err error) {
	code, err := f.parse(in.Code, from)
	if err != nil {
		return t, err
	}
	return f.start(ctx, c, grant.Exchanged{Code: code, Client: c.ID, Redirect: in.Redirect, Verifier: in.Verifier}, in.Resource, from)
}

// parse reads a code of ours.
func (f *Exchange) parse(code string, from event.Origin) (grant.Code, error) {
	if code == "" {
		return grant.Code{}, flow.Required("code")
	}
	parsed, ok := f.Grants.ParseCode(code)
	if !ok {
		f.Tally.Add(event.SuspiciousActivity, "code_forged", from)
		return parsed, errGrant.Because(flow.Reason("forged"))
	}
	return parsed, nil
}

// start starts the grant of a code. A resource that it can't be for takes that back.
func (f *Exchange) start(ctx context.Context, c client.Client, e grant.Exchanged, resource string, from event.Origin) (t Tokens, err error) {
	can, err := f.targets(ctx)
	if err == nil {
		err = f.Ready(ctx, c.Settings.IDAlgorithm()) // before anything is spent
	}
	if err != nil {
		return t, err
	}
	now, audience := f.Now(), ""
	g, err := f.begin(ctx, c, e, now, from, func(g grant.Grant) (err error) {
		audience, err = can.audience(g, c, resource)
		return err
	})
	if err != nil {
		return t, err
	}
	return f.tokens(g, c, issue{g.Scope, g.Nonce, audience, can}, now)
}

// begin is the transaction in which the grant of a code starts. What check refuses takes it back. Exchanges at the same time share one.
func (f *Exchange) begin(
	ctx context.Context, c client.Client, e grant.Exchanged, now time.Time, from event.Origin, check func(grant.Grant) error,
) (g grant.Grant, err error) {
	var how grant.Outcome
	err = f.DB.WriteShared(ctx, e.Code.Grant(), func(tx *db.Tx) (err error) {
		g, how, err = f.Grants.Exchange(tx, e, now)
		switch {
		case err != nil || how == grant.Refused:
			return err
		case how == grant.Reused:
			f.ended(tx, g, grant.WhyCodeReuse, from)
			return nil
		}
		if err := check(g); err != nil {
			return err
		}
		ok, err := f.may(tx, g, c)
		if err == nil && !ok {
			how = grant.Refused
			_, _, err = grant.End(tx, g.ID, c.ID, grant.WhyRevoked, now)
		}
		return err
	})
	if err == nil && how != grant.Started {
		err = errGrant.Because(flow.Reason(how))
	}
	return g, err
}

// targets are what tokens can be for now.
func (f *Exchange) targets(ctx context.Context) (targets, error) {
	all, err := f.Clients.Resources(ctx)
	return targets{f.UserInfo, all}, err
}

// may reports whether a grant goes on, by what holds now: its account can sign in, no cut-off has ended its sign-in, it has a role
// and a strength that the application requires, and the factor that SECOND_FACTOR does.
func (f *Exchange) may(tx *db.Tx, g grant.Grant, c client.Client) (bool, error) {
	required, least := c.Settings.RequireRoles, c.Settings.RequireACR
	ok := g.Owner.Active && !f.Revoked.Cut(g.AuthAt) && (least == "" || token.Satisfies(token.ACR(g.AMR), least)) &&
		(len(required) == 0 || slices.ContainsFunc(required, func(r string) bool { return slices.Contains(g.Roles, r) }))
	if !ok {
		return false, nil
	}
	refused, err := f.Demand.Refuses(tx, g.Account, g.Roles, g.AMR, f.Now())
	return !refused, err
}

// ended records that a grant was ended for what looks like a theft, and ends its access tokens.
func (f *Exchange) ended(tx *db.Tx, g grant.Grant, why string, from event.Origin) {
	f.Revoked.EndSession(tx, g.ID)
	f.Events.Append(tx, event.Event{
		Kind: event.SuspiciousActivity, Outcome: event.Failure, Account: g.Account, Origin: from, Detail: event.Detail{Client: g.Client, Reason: why},
	})
	f.Events.Append(tx, event.Event{
		Kind: event.GrantEnded, Outcome: event.Success, Account: g.Account, Origin: from, Detail: event.Detail{Client: g.Client, Reason: why},
	})
}

// Refreshed is what an application brings to refresh.
type Refreshed struct {
	Token string
	// Scope may narrow the access token, and never the grant; Resource says what it is to be for. Both may be empty.
	Scope, Resource string
}

// Refresh trades a refresh token for its successor, by the rules of a session's ([flow.Refresh]).
func (f *Exchange) Refresh(ctx context.Context, c client.Client, in Refreshed, from event.Origin) (Tokens, error) {
	ctx, run := f.Count.Begin(ctx, "refresh_grant")
	t, turn, err := f.refresh(ctx, c, in, from)
	if err != nil {
		return t, run.End(err)
	}
	run.As(string(turn))
	return t, nil
}

func (f *Exchange) refresh(ctx context.Context, c client.Client, in Refreshed, from event.Origin) (t Tokens, turn rotation.Turn, err error) {
	if in.Token == "" {
		return t, "", flow.Required("refresh_token")
	}
	presented, turn := f.Grants.Present(in.Token)
	if turn != "" {
		f.Tally.Add(event.SuspiciousActivity, "refresh_token_"+string(turn), from)
		return t, turn, errGrant.Because(flow.Reason(turn))
	}
	var (
		now = f.Now()
		g   grant.Grant
		is  issue
	)
	if is.can, err = f.targets(ctx); err == nil {
		err = f.Ready(ctx, c.Settings.IDAlgorithm())
	}
	if err != nil {
		return t, turn, err
	}
	err = f.DB.WriteShared(ctx, presented.Grant(), func(tx *db.Tx) (err error) {
		if g, turn, err = f.Grants.Rotate(tx, presented, c.ID, now); err != nil {
			return err
		}
		if turn.Good() { // what is wrong takes the turn back: the refresh token stays good
			var ok bool
			if is.scope, ok = is.can.narrower(g, in.Scope); !ok {
				return errScope
			}
			if is.audience, err = is.can.audience(g, c, in.Resource); err != nil {
				return err
			}
		}
		return f.rotated(tx, g, c, &turn, now, from)
	})
	if err != nil {
		return t, turn, err
	}
	if !turn.Good() {
		return t, turn, errGrant.Because(flow.Reason(turn))
	}
	t, err = f.tokens(g, c, is, now)
	return t, turn, err
}

// rotated does what a turn asks for. A grant that may not go on ends, and the turn becomes a refusal.
func (f *Exchange) rotated(tx *db.Tx, g grant.Grant, c client.Client, turn *rotation.Turn, now time.Time, from event.Origin) error {
	switch {
	case *turn == rotation.Reused, *turn == rotation.Ahead:
		f.ended(tx, g, string(*turn), from)
		if *turn == rotation.Reused {
			return flow.NotifyReuse(tx, f.Notices, g.Account, now, from)
		}
		return nil
	case !turn.Good():
		return nil
	}
	ok, err := f.may(tx, g, c)
	if err == nil && !ok {
		*turn = rotation.Refused
		f.Revoked.EndSession(tx, g.ID)
		_, _, err = grant.End(tx, g.ID, c.ID, grant.WhyRevoked, now)
	}
	return err
}

// issue is what tokens are made for.
type issue struct {
	scope, nonce, audience string
	can                    targets
}

// tokens signs them. The ID token is the application's, whatever the access token is for.
func (f *Exchange) tokens(g grant.Grant, c client.Client, is issue, now time.Time) (t Tokens, err error) {
	expires := min(f.Tokens.Life(), g.Until.Sub(now))
	scope := is.can.within(c, is.scope, is.audience)
	subject := token.Subject{
		Account: g.Account, Session: g.ID, AMR: g.AMR, AuthAt: g.AuthAt, Until: g.Until, Audience: is.audience, Client: c.ID, Scope: scope,
	}
	if grant.Has(scope, grant.Roles) || grant.Has(scope, grant.Groups) {
		subject.Roles = g.Roles
	}
	t = Tokens{Expires: expires, Refresh: g.Refresh, Scope: scope}
	if t.Access, err = f.Tokens.Issue(subject, now); err != nil || !grant.Has(is.scope, grant.OpenID) || !c.MayHave(grant.OpenID) {
		return t, err
	}
	id := token.ID{Subject: g.Account, Audience: c.ID, AuthTime: g.AuthAt.Unix(), Session: g.SID, Nonce: is.nonce, AMR: g.AMR, Algorithm: c.Settings.IDTokenAlg}
	if !c.Settings.LeanIDToken {
		id.Person = person(g.Owner, is.can.within(c, is.scope, is.can.userInfo), g.Roles)
	}
	t.ID, err = f.Tokens.IssueID(id, t.Access, now.Add(expires), now)
	return t, err
}

// person is what an application is told of somebody, by its scopes (OpenID Connect Core section 5.4).
func person(a grant.Owner, scope string, roles []string) (p token.Person) {
	if grant.Has(scope, grant.Profile) {
		p.Name, p.Locale = a.Name, a.Locale
	}
	if grant.Has(scope, grant.Email) && a.Verified {
		p.Email, p.EmailVerified = a.Email, true
		if grant.Has(scope, grant.Profile) {
			p.PreferredUsername = a.Email
		}
	}
	if grant.Has(scope, grant.Roles) {
		p.Roles = &roles
	}
	if grant.Has(scope, grant.Groups) {
		p.Groups = &roles
	}
	return p
}
