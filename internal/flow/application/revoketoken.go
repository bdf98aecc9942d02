package application

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// RevokeToken ends the session of a token that somebody has brought to a
// registered application.
type RevokeToken struct {
	flow.Core
	Authenticate *Authenticate
	Sessions     *session.Store
}

// Do ends the session, with all its tokens. A token that is not good is no
// fault: nobody can use it (RFC 7009 section 2.2). A refresh token counts even if
// it was replaced.
func (f *RevokeToken) Do(ctx context.Context, by client.Client, t string, from event.Origin) error {
	if t == "" {
		return f.Count.End("revoke_token", flow.Required("token"))
	}
	ctx, run := f.Count.Begin(ctx, "revoke_token")
	id, err := f.sessionOf(ctx, t, from)
	if err != nil {
		return run.End(err)
	}
	if id == "" {
		run.As("inactive")
		return nil
	}
	err = f.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		account, err := session.End(tx, id, "", session.WhyRevoked, f.Now())
		if err != nil {
			return err
		}
		if err := flow.EndSession(tx, f.Authenticate.Revocations, id, f.Now()); err != nil {
			return err
		}
		f.Events.Append(tx, event.Event{
			Kind: event.SessionRevoked, Outcome: event.Success, Account: account, Session: id, Origin: from,
			Detail: event.Detail{By: "client", Client: by.ID, Reason: "application"},
		})
		return nil
	})
	if errors.Is(err, session.ErrNotFound) {
		run.As("inactive")
		return nil
	}
	return run.End(err)
}

// sessionOf names a token's session; it is empty for one that is not good.
func (f *RevokeToken) sessionOf(ctx context.Context, t string, from event.Origin) (string, error) {
	if p, turn := f.Sessions.Present(t); turn == "" {
		return p.SessionID(), nil
	}
	c, err := f.Authenticate.claims(ctx, t, from)
	switch {
	case err == nil:
		return c.Session, nil
	case fault.KindOf(err) == fault.Unauthenticated:
		return "", nil
	}
	return "", err
}
