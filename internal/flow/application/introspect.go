package application

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Introspect tells a registered application whether a token is good that
// somebody has brought it, and what it says.
type Introspect struct {
	flow.Core
	Authenticate *Authenticate
	Sessions     *session.Store
}

// Introspection is what a valid token says; it is nil for any
// other.
type Introspection struct {
	// Access is what an access token says; nil for a refresh token.
	Access *token.Claims
	// Grant is whose a refresh token is, without a successor.
	Grant session.Grant
}

// Do returns nil for a token that is not good, whatever is wrong with it. The
// error tells that it can't be known for the moment. An access token costs no
// lookUp at the database.
func (f *Introspect) Do(ctx context.Context, t string, from event.Origin) (*Introspection, error) {
	if t == "" {
		return nil, f.Count.End("introspect", flow.Required("token"))
	}
	ctx, run := f.Count.Begin(ctx, "introspect")
	told, err := f.do(ctx, t, from)
	if err == nil && told == nil {
		run.As("inactive")
		return nil, nil
	}
	return told, run.End(err)
}

func (f *Introspect) do(ctx context.Context, t string, from event.Origin) (*Introspection, error) {
	if p, turn := f.Sessions.Present(t); turn == "" {
		if p.FromCookie() {
			return nil, nil // to whoever is no browser it is worth nothing
		}
		return f.refresh(ctx, p)
	}
	c, err := f.Authenticate.claims(ctx, t, from)
	switch {
	case err == nil:
		return &Introspection{Access: c}, nil
	case fault.KindOf(err) == fault.Unauthenticated:
		return nil, nil
	}
	return nil, err
}

// refresh looks a refresh token up.
func (f *Introspect) refresh(ctx context.Context, p session.Presented) (told *Introspection, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		g, ok, err := f.Sessions.Look(tx, p, f.Now())
		if ok && !f.Authenticate.Revocations.Cut(g.AuthAt) {
			told = &Introspection{Grant: g}
		}
		return err
	})
	return told, err
}
