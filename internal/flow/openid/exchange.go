package openid

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/rotation"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Exchange trades a code, or a refresh token, for tokens.
type Exchange struct {
	flow.Core
	Grants  *grant.Store
	Tokens  *token.Issuer
	Revoked *token.Revocations
	Notices *flow.Notices
	// Demand says whose accounts must have a second factor.
	Demand flow.Demand
	// Audience is that of access tokens: the userinfo endpoint.
	Audience string
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

// Code exchanges a code. Of several who bring it rightly one gets tokens, and the next ends them.
func (f *Exchange) Code(ctx context.Context, c client.Client, code, redirect, verifier string, from event.Origin) (Tokens, error) {
	ctx, run := f.Count.Begin(ctx, "exchange")
	t, err := f.code(ctx, c, code, redirect, verifier, from)
	return t, run.End(err)
}

func (f *Exchange) code(ctx context.Context, c client.Client, code, redirect, verifier string, from event.Origin) (t Tokens, err error) {
	now := f.Now()
	g, who, err := f.start(ctx, c, grant.Exchanged{Client: c.ID, Redirect: redirect, Verifier: verifier}, code, now, from)
	if err != nil {
		return t, err
	}
	return f.tokens(g, c, who, g.Scope, g.Nonce, now)
}

// start starts the grant of a code.
func (f *Exchange) start(ctx context.Context, c client.Client, e grant.Exchanged, code string, now time.Time, from event.Origin) (
	g grant.Grant, who account.Account, err error,
) {
	if code == "" {
		return g, who, flow.Required("code")
	}
	var ok bool
	if e.Code, ok = f.Grants.ParseCode(code); !ok {
		f.Tally.Add(event.SuspiciousActivity, "code_forged", from)
		return g, who, errGrant.Because(flow.Reason("forged"))
	}
	var how grant.Outcome
	err = f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		g, how, err = f.Grants.Exchange(tx, e, now)
		switch {
		case err != nil || how == grant.Refused:
			return err
		case how == grant.Reused:
			f.ended(tx, g, grant.WhyCodeReuse, from)
			return nil
		}
		who, ok, err = f.may(tx, g, c)
		if err == nil && !ok {
			how = grant.Refused
			_, _, err = grant.End(tx, g.ID, c.ID, grant.WhyRevoked, now)
		}
		return err
	})
	if err == nil && how != grant.Started {
		err = errGrant.Because(flow.Reason(how))
	}
	return g, who, err
}

// may reports whether a grant goes on, by what holds now: its account can sign in, no cut-off has ended its sign-in, it has a role
// and a strength that the application requires, and the factor that SECOND_FACTOR does.
func (f *Exchange) may(tx *db.Tx, g grant.Grant, c client.Client) (who account.Account, ok bool, err error) {
	if who, err = account.ByID(tx, g.Account); err != nil {
		if errors.Is(err, account.ErrNotFound) {
			err = nil
		}
		return who, false, err
	}
	required, least := c.Settings.RequireRoles, c.Settings.RequireACR
	ok = who.DisabledAt.IsZero() && !f.Revoked.Cut(g.AuthAt) && (least == "" || token.Satisfies(token.ACR(g.AMR), least)) &&
		(len(required) == 0 || slices.ContainsFunc(required, func(r string) bool { return slices.Contains(g.Roles, r) }))
	refused, err := f.Demand.Refuses(tx, g.Account, g.Roles, g.AMR, f.Now())
	return who, ok && !refused, err
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

// Refresh trades a refresh token for its successor, by the rules of a session's ([flow.Refresh]). scope may narrow the access token,
// and never the grant.
func (f *Exchange) Refresh(ctx context.Context, c client.Client, refresh, scope string, from event.Origin) (Tokens, error) {
	ctx, run := f.Count.Begin(ctx, "refresh_grant")
	t, turn, err := f.refresh(ctx, c, refresh, scope, from)
	if err != nil {
		return t, run.End(err)
	}
	run.As(string(turn))
	return t, nil
}

func (f *Exchange) refresh(ctx context.Context, c client.Client, refresh, scope string, from event.Origin) (t Tokens, turn rotation.Turn, err error) {
	if refresh == "" {
		return t, "", flow.Required("refresh_token")
	}
	presented, turn := f.Grants.Present(refresh)
	if turn != "" {
		f.Tally.Add(event.SuspiciousActivity, "refresh_token_"+string(turn), from)
		return t, turn, errGrant.Because(flow.Reason(turn))
	}
	var (
		now = f.Now()
		g   grant.Grant
		who account.Account
	)
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		if g, turn, err = f.Grants.Rotate(tx, presented, c.ID, now); err != nil {
			return err
		}
		if narrower(g.Scope, scope) == "" && turn.Good() {
			return errScope // which takes the turn back: the refresh token stays good
		}
		who, err = f.rotated(tx, g, c, &turn, now, from)
		return err
	})
	if err != nil {
		return t, turn, err
	}
	if !turn.Good() {
		return t, turn, errGrant.Because(flow.Reason(turn))
	}
	t, err = f.tokens(g, c, who, narrower(g.Scope, scope), "", now)
	return t, turn, err
}

// rotated does what a turn asks for. A grant that may not go on ends, and the turn becomes a refusal.
func (f *Exchange) rotated(tx *db.Tx, g grant.Grant, c client.Client, turn *rotation.Turn, now time.Time, from event.Origin) (who account.Account, err error) {
	switch {
	case *turn == rotation.Reused, *turn == rotation.Ahead:
		f.ended(tx, g, string(*turn), from)
		if *turn == rotation.Reused {
			return who, flow.NotifyReuse(tx, f.Notices, g.Account, now, from)
		}
		return who, nil
	case !turn.Good():
		return who, nil
	}
	who, ok, err := f.may(tx, g, c)
	if err == nil && !ok {
		*turn = rotation.Refused
		f.Revoked.EndSession(tx, g.ID)
		_, _, err = grant.End(tx, g.ID, c.ID, grant.WhyRevoked, now)
	}
	return who, err
}

// narrower is what an access token gets of a grant's scope: all, or what is asked for; empty if that goes beyond it. Unknown scopes are
// passed over, as where the grant was asked for: libraries send the same list again.
func narrower(granted, asked string) string {
	if asked == "" {
		return granted
	}
	scopes := grant.ParseScope(asked)
	if len(grant.Beyond(scopes, granted)) > 0 {
		return ""
	}
	return strings.Join(scopes, " ")
}

// tokens signs them.
func (f *Exchange) tokens(g grant.Grant, c client.Client, who account.Account, scope, nonce string, now time.Time) (t Tokens, err error) {
	expires := min(f.Tokens.Life(), g.Until.Sub(now))
	subject := token.Subject{
		Account: g.Account, Session: g.ID, AMR: g.AMR, AuthAt: g.AuthAt, Until: g.Until, Audience: f.Audience, Client: c.ID, Scope: scope,
	}
	if grant.Has(scope, grant.Roles) || grant.Has(scope, grant.Groups) {
		subject.Roles = g.Roles
	}
	t = Tokens{Expires: expires, Refresh: g.Refresh, Scope: scope}
	if t.Access, err = f.Tokens.Issue(subject, now); err != nil || !grant.Has(scope, grant.OpenID) {
		return t, err
	}
	id := token.ID{Subject: g.Account, Audience: c.ID, AuthTime: g.AuthAt.Unix(), Session: g.SID, Nonce: nonce, AMR: g.AMR}
	if !c.Settings.LeanIDToken {
		id.Person = person(who, scope, g.Roles)
	}
	t.ID, err = f.Tokens.IssueID(id, t.Access, now.Add(expires), now)
	return t, err
}

// person is what an application is told of somebody, by its scopes (OpenID Connect Core section 5.4).
func person(a account.Account, scope string, roles []string) (p token.Person) {
	if grant.Has(scope, grant.Profile) {
		p.Name, p.Locale = a.Name, a.Locale
	}
	if grant.Has(scope, grant.Email) && !a.VerifiedAt.IsZero() {
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
