package application

import (
	"context"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// errRole is for somebody who is signed in, and whom the application does not let in.
var errRole = fault.New(fault.Denied, "role_required",
	"Your account may not use this application. Ask those who run it for access, or sign in with another account.")

// Guarded tells who makes a request to a guarded application, by the cookie of its host. That names a grant under a session, and lives
// as long as the session: roles, strength and everything else are those of the session's row now.
func (f *ForwardAuth) Guarded(ctx context.Context, c client.Client, cookie string, from event.Origin) (flow.Identity, string, error) {
	ctx, run := f.Count.Begin(ctx, "forward_auth")
	who, err := f.Authenticate.guarded(ctx, c, cookie, from)
	if err == nil && len(c.Settings.RequireRoles) > 0 &&
		!slices.ContainsFunc(c.Settings.RequireRoles, func(r string) bool { return slices.Contains(who.Roles, r) }) {
		err = errRole
	}
	if err != nil {
		return flow.Identity{}, "", run.End(err)
	}
	address, err := f.address(ctx, who.Account)
	return who, address, run.End(err)
}

// Console tells who makes a request to the console on a host of its own, by the cookie of that.
func (f *Authenticate) Console(ctx context.Context, cookie string, from event.Origin) (flow.Identity, error) {
	ctx, run := f.Count.Begin(ctx, "authenticate")
	who, err := f.guarded(ctx, client.Client{ID: client.ConsoleID}, cookie, from)
	return who, run.End(err)
}

func (f *Authenticate) guarded(ctx context.Context, c client.Client, cookie string, from event.Origin) (flow.Identity, error) {
	p, turn := f.Grants.Present(cookie)
	if turn != "" {
		f.Tally.Add(event.SuspiciousActivity, "refresh_token_"+string(turn), from)
		return flow.Identity{}, token.ErrInvalid.Because(flow.Reason("invalid_token"))
	}
	s, err := f.seen(ctx, p.Key(), from, func(tx *db.Tx, now time.Time) (s seen, alive bool, err error) {
		g, alive, err := f.Grants.Look(tx, p, now)
		if err != nil || !alive {
			return s, false, err
		}
		var of session.Grant
		if of, alive, err = session.BySID(tx, g.SID, now); err != nil || !alive {
			return s, false, err
		}
		s = seenOf(of, g.ID, now)
		s.claims.ClientID = g.Client
		return s, true, nil
	})
	switch {
	case err != nil:
		return flow.Identity{}, err
	case s.claims.ClientID != c.ID: // somebody has carried it here from another application's host
		f.Tally.Add(event.SuspiciousActivity, "cookie_of_another_host", from)
		return flow.Identity{}, token.ErrInvalid.Because(flow.Reason("invalid_token"))
	}
	return identity(s.claims), nil
}
