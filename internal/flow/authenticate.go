package flow

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// Authenticate tells who makes a request: it checks the access token, and that
// it has not been revoked. That costs no look at the database as long as the
// replica knows what has been revoked.
type Authenticate struct {
	Core
	Tokens      *token.Issuer
	Revocations *token.Revocations
	Uses        *session.Uses
	// Sessions are for [Authenticate.Browser].
	Sessions *session.Store

	sessions lookedUp
}

// Do returns the identity, token.ErrInvalid, or token.ErrUnknown.
func (f *Authenticate) Do(ctx context.Context, access string, from event.Origin) (Identity, error) {
	ctx, run := f.Count.begin(ctx, "authenticate")
	who, err := f.do(ctx, access, from)
	return who, run.end(err)
}

// knowsKeys is how long a token waits whose key is not known here.
const knowsKeys = time.Second

// verify is the issuer's Verify. A token of a key that this replica does not know
// may be of one that another made a moment ago: it waits for the next poll, a
// quarter of a second at most, which reads the keys too.
func verify(ctx context.Context, tokens *token.Issuer, revoked *token.Revocations, access string, now func() time.Time) (*token.Claims, error) {
	c, err := tokens.Verify(access, now())
	if !errors.Is(err, token.ErrUnknownKey) {
		return c, err
	}
	wait, cancel := context.WithTimeout(ctx, knowsKeys)
	defer cancel()
	if waited := revoked.Await(wait); waited != nil {
		return nil, token.ErrUnknown.Because(waited)
	}
	return tokens.Verify(access, now())
}

func (f *Authenticate) do(ctx context.Context, access string, from event.Origin) (Identity, error) {
	c, err := f.claims(ctx, access, from)
	if err != nil {
		return Identity{}, err
	}
	return identity(c), nil
}

// claims returns what a good access token says.
func (f *Authenticate) claims(ctx context.Context, access string, from event.Origin) (*token.Claims, error) {
	c, err := verify(ctx, f.Tokens, f.Revocations, access, f.Now)
	if err != nil {
		if !errors.Is(err, token.ErrExpired) && !errors.Is(err, token.ErrUnknown) {
			f.Tally.Add(event.SuspiciousActivity, "access_token_invalid", from)
		}
		return nil, err
	}
	if err := f.Revocations.Check(ctx, c); err != nil {
		if errors.Is(err, token.ErrInvalid) {
			err = token.ErrInvalid.Because(reason("revoked"))
		}
		return nil, err
	}
	f.Uses.Add(c.Session, f.Now())
	return c, nil
}
