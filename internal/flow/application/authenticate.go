package application

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Authenticate tells who makes a request: it checks the access token, and that
// it has not been revoked. That costs no look at the database as long as the
// replica knows what has been revoked.
type Authenticate struct {
	flow.Core
	Tokens      *token.Issuer
	Revocations *token.Revocations
	Uses        *session.Uses
	// Sessions are for [Authenticate.Browser].
	Sessions *session.Store
	// Grants are for [ForwardAuth.Guarded].
	Grants *grant.Store
	Demand flow.Demand

	sessions lookedUp
}

// Do returns the identity, token.ErrInvalid, or token.ErrUnknown.
func (f *Authenticate) Do(ctx context.Context, access string, from event.Origin) (flow.Identity, error) {
	ctx, run := f.Count.Begin(ctx, "authenticate")
	who, err := f.do(ctx, access, from)
	return who, run.End(err)
}

func (f *Authenticate) do(ctx context.Context, access string, from event.Origin) (flow.Identity, error) {
	c, err := f.claims(ctx, access, from)
	if err != nil {
		return flow.Identity{}, err
	}
	return identity(c), nil
}

// claims returns what a good access token says.
func (f *Authenticate) claims(ctx context.Context, access string, from event.Origin) (*token.Claims, error) {
	c, err := flow.VerifyAccess(ctx, f.Tokens, f.Revocations, access, f.Now)
	if err != nil {
		if !errors.Is(err, token.ErrExpired) && !errors.Is(err, token.ErrUnknown) {
			f.Tally.Add(event.SuspiciousActivity, "access_token_invalid", from)
		}
		return nil, err
	}
	if err := f.Revocations.Check(ctx, c); err != nil {
		if errors.Is(err, token.ErrInvalid) {
			err = token.ErrInvalid.Because(flow.Reason("revoked"))
		}
		return nil, err
	}
	f.Uses.Add(c.Session, flow.AddressOf(from), f.Now())
	return c, nil
}
