package flow

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// SignOut ends sessions: the caller's own, another of the same account, or all
// of them. It goes on if the caller leaves meanwhile, as browsers do that are
// being closed.
type SignOut struct {
	Core
	Sessions *session.Store
	Tokens   *token.Issuer
	Revoked  *token.Revocations
}

// ByAccess ends the session of an access token. It is no fault if that has
// ended already: whoever asks twice has what they wanted. A token that has expired
// will do: it was made by us for this session, and to end a session is the safe side.
func (f *SignOut) ByAccess(ctx context.Context, access string, from event.Origin) error {
	c, err := VerifyAccess(ctx, f.Tokens, f.Revoked, access, f.Now)
	if errors.Is(err, token.ErrExpired) {
		c, err = f.Tokens.Expired(access, f.Now())
	}
	if err != nil {
		if !errors.Is(err, token.ErrExpired) && !errors.Is(err, token.ErrUnknown) {
			f.Tally.Add(event.SuspiciousActivity, "access_token_invalid", from)
		}
		return f.Count.End("sign_out", err)
	}
	return f.out(ctx, c.Session, from)
}

// SessionOf names the session of a refresh token that is ours, whether or not it
// still works; it is empty for any other.
func (f *SignOut) SessionOf(refreshToken string) string {
	p, turn := f.Sessions.Present(refreshToken)
	if turn != "" {
		return ""
	}
	return p.SessionID()
}

// ByRefresh ends the session of a refresh token, whether or not the token has
// been replaced: it was made by us for this session, and to end a session is
// the safe side. It is no fault if that has ended already.
func (f *SignOut) ByRefresh(ctx context.Context, refreshToken string, from event.Origin) error {
	p, turn := f.Sessions.Present(refreshToken)
	if turn != "" {
		f.Tally.Add(event.SuspiciousActivity, "refresh_token_"+string(turn), from)
		return f.Count.End("sign_out", ErrInvalidRefresh.Because(Reason(turn)))
	}
	return f.out(ctx, p.SessionID(), from)
}

// Under ends the session under which somebody was let in to the console on a host of its own, where its cookie names a grant. It is no fault
// if that has ended already.
func (f *SignOut) Under(ctx context.Context, grantID string, from event.Origin) error {
	var g session.Grant
	err := f.DB.Read(ctx, func(tx *db.Tx) error {
		sid, err := grant.SIDOf(tx, grantID)
		if err != nil || sid == "" {
			return err
		}
		g, _, err = session.BySID(tx, sid, f.Now())
		return err
	})
	if err != nil || g.Session == "" {
		return f.Count.End("sign_out", err)
	}
	return f.out(ctx, g.Session, from)
}

// Before ends the session that a browser had before a sign-in, unless the sign-in has taken its place: nobody could use it any more, except
// who has stolen it.
func (f *SignOut) Before(ctx context.Context, browser *Browser, from event.Origin) {
	if browser.Session != "" && !browser.Replaced {
		_ = f.ByRefresh(ctx, browser.Session, from) // it may be no session's at all
	}
}

func (f *SignOut) out(ctx context.Context, id string, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "sign_out")
	err := f.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		account, err := session.End(tx, id, "", session.WhyLogout, f.Now())
		if err != nil {
			return err
		}
		if err := EndSession(tx, f.Revoked, id, f.Now()); err != nil {
			return err
		}
		f.Events.Append(tx, event.Event{Kind: event.Logout, Outcome: event.Success, Account: account, Session: id, Origin: from})
		return nil
	})
	if errors.Is(err, session.ErrNotFound) {
		f.Revoked.Ended(id)
		err = nil
	}
	return run.End(err)
}

// All ends every session of the account, or all but the caller's own, and makes
// all its known devices unknown.
func (f *SignOut) All(ctx context.Context, who Identity, keepCurrent bool, from event.Origin) error {
	keep := ""
	if keepCurrent {
		keep = who.Session
	}
	ctx, run := f.Count.Begin(ctx, "sign_out")
	err := f.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		ended, err := session.EndAll(tx, who.Account, keep, session.WhyLogout, f.Now())
		if err != nil {
			return err
		}
		if _, err := lockout.ForgetDevices(tx, who.Account); err != nil {
			return err
		}
		for _, id := range ended {
			f.Revoked.EndSession(tx, id)
			f.Events.Append(tx, f.ended(who, id, "logout_all", from))
		}
		return endGrants(tx, f.Revoked, who.Account, keep, grant.WhySession, f.Now())
	})
	return run.End(err)
}

// One ends one session of the account. It returns session.ErrNotFound if that
// is not alive, or another account's.
func (f *SignOut) One(ctx context.Context, who Identity, id string, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "sign_out")
	err := f.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		if _, err := session.End(tx, id, who.Account, session.WhyLogout, f.Now()); err != nil {
			return err
		}
		if err := EndSession(tx, f.Revoked, id, f.Now()); err != nil {
			return err
		}
		f.Events.Append(tx, f.ended(who, id, "owner", from))
		return nil
	})
	return run.End(err)
}

// ended is a logout for the caller's own session, and a revocation for others.
func (f *SignOut) ended(who Identity, id, reason string, from event.Origin) event.Event {
	e := event.Event{Kind: event.SessionRevoked, Outcome: event.Success, Account: who.Account, Session: id, Origin: from, Detail: event.Detail{Reason: reason}}
	if id == who.Session {
		e.Kind = event.Logout
	}
	return e
}
