package flow

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// Refresh trades a refresh token for its successor and a new access token. The
// rules are [session.Store.Rotate]'s; what they tell from theft is repeated to
// the client, and what they take for theft ends the session.
type Refresh struct {
	Core
	Sessions *session.Store
	Tokens   *token.Issuer
	Revoked  *token.Revocations
	Notices  *Notices
	Log      *slog.Logger
	Uses     *session.Uses
	Demand   Demand
}

// Do refreshes. Every refresh token that does not work is ErrInvalidRefresh, and so is one that
// was given to a browser as a cookie: whoever has it here has it from a place where it should not
// be read. That ends no session, since nothing was replaced, and whoever has it could end it anyway.
func (f *Refresh) Do(ctx context.Context, refreshToken string, from event.Origin) (Tokens, error) {
	return f.refresh(ctx, refreshToken, false, from)
}

// Cookie is Do for a refresh token that came as a cookie, and goes back as one.
func (f *Refresh) Cookie(ctx context.Context, refreshToken string, from event.Origin) (Tokens, error) {
	t, err := f.refresh(ctx, refreshToken, true, from)
	if err == nil {
		t.Refresh = f.Sessions.ForCookie(t.Refresh)
	}
	return t, err
}

func (f *Refresh) refresh(ctx context.Context, refreshToken string, cookie bool, from event.Origin) (Tokens, error) {
	ctx, run := f.Count.Begin(ctx, "refresh")
	t, turn, err := f.do(ctx, refreshToken, cookie, from)
	if err != nil {
		return Tokens{}, run.End(err)
	}
	run.As(string(turn))
	return t, nil
}

func (f *Refresh) do(ctx context.Context, refreshToken string, cookie bool, from event.Origin) (Tokens, session.Turn, error) {
	if refreshToken == "" {
		return Tokens{}, "", Required("refresh_token")
	}
	now := f.Now()
	presented, turn := f.Sessions.Present(refreshToken)
	if turn == "" && presented.FromCookie() && !cookie {
		turn = session.FromCookie
	}
	if turn != "" {
		f.Tally.Add(event.SuspiciousActivity, "refresh_token_"+string(turn), from)
		return Tokens{}, turn, ErrInvalidRefresh.Because(Reason(turn))
	}
	var grant session.Grant
	var demanded, over bool // over is whether a session that is refused was ended before
	err := f.DB.WriteShared(ctx, presented.SessionID(), func(tx *db.Tx) (err error) {
		grant, turn, err = f.Sessions.Rotate(tx, presented, now)
		if err != nil {
			return err
		}
		if turn, err = f.cut(tx, grant, turn, now); err != nil {
			return err
		}
		if demanded, err = f.demand(tx, grant, turn, now, from); err != nil || demanded {
			return err
		}
		if turn == session.Refused {
			over, err = session.HasEnded(tx, presented.SessionID())
			return err
		}
		return f.record(tx, grant, turn, presented, now, from)
	})
	if err != nil {
		return Tokens{}, "", err
	}
	if demanded {
		return Tokens{}, turn, errFactorDemanded
	}
	switch turn {
	case session.Rotated, session.Raced, session.Retried:
		if at := AddressOf(from); at != "" && at != grant.LastAddress {
			f.Uses.Add(grant.Session, at, now)
		}
		t, err := issue(f.Tokens, grant, now)
		return t, turn, err
	case session.Ahead:
		f.Log.Error("A client holds a refresh token newer than the database knows: the database went back in time. If a backup was restored by hand, all "+
			"sessions from after it are to be ended.",
			"request_id", from.RequestID, "session", grant.Session, "generation", presented.Generation())
	case session.Refused:
		if over {
			f.Revoked.Ended(presented.SessionID())
		}
		f.Tally.Add(event.SuspiciousActivity, "refresh_token_refused", from)
	}
	return Tokens{}, turn, ErrInvalidRefresh.Because(Reason(turn))
}

// demand ends a session that its roles no longer allow: the rule is new, or the role. That is no
// alarm.
func (f *Refresh) demand(tx *db.Tx, g session.Grant, turn session.Turn, now time.Time, from event.Origin) (bool, error) {
	if !slices.Contains([]session.Turn{session.Rotated, session.Raced, session.Retried}, turn) {
		return false, nil
	}
	if refused, err := f.Demand.Refuses(tx, g.Account, g.Roles, g.AMR, now); err != nil || !refused {
		return false, err
	}
	if _, err := session.End(tx, g.Session, "", session.WhyRevoked, now); err != nil {
		return false, err
	}
	if err := EndSession(tx, f.Revoked, g.Session, now); err != nil {
		return false, err
	}
	f.Events.Append(tx, event.Event{
		Kind: event.SessionRevoked, Outcome: event.Success, Account: g.Account, Session: g.Session, Origin: from,
		Detail: event.Detail{Reason: "second_factor_required"},
	})
	return true, nil
}

// cut ends a session that began before a cut-off: its access tokens are dead
// already, and a fresh one would be as well.
func (f *Refresh) cut(tx *db.Tx, g session.Grant, turn session.Turn, now time.Time) (session.Turn, error) {
	if !slices.Contains([]session.Turn{session.Rotated, session.Raced, session.Retried}, turn) || !f.Revoked.Cut(g.AuthAt) {
		return turn, nil
	}
	if _, err := session.End(tx, g.Session, "", session.WhyRevoked, now); err != nil {
		return session.Refused, err
	}
	return session.Refused, EndSession(tx, f.Revoked, g.Session, now)
}

// NotifyReuse queues the mail that tells the owner that a refresh token was used by two.
func NotifyReuse(tx *db.Tx, n *Notices, id string, now time.Time, from event.Origin) error {
	a, err := account.ByID(tx, id)
	if err != nil {
		return err
	}
	return n.Send(tx, notice.Mail{
		Kind: notice.TokenReused, Account: a.ID, To: a.Email, Name: a.Name, Locale: a.Locale, At: now,
	}, from)
}

// record appends the events of a turn, and ends the access tokens and the grants of a session
// that it has ended, of which its owner is told if somebody else may have had a token.
func (f *Refresh) record(tx *db.Tx, g session.Grant, turn session.Turn, p session.Presented, now time.Time, from event.Origin) error {
	e := event.Event{Account: g.Account, Session: g.Session, Origin: from, Detail: event.Detail{Generation: p.Generation()}}
	switch turn {
	case session.Rotated, session.Raced, session.Retried:
		e.Kind, e.Outcome, e.Detail.AMR = event.TokenRefresh, event.Success, g.AMR
		if turn != session.Rotated {
			e.Detail.Reason = string(turn)
		}
		f.Events.Append(tx, e)
	case session.Reused, session.Ahead:
		e.Kind, e.Outcome, e.Detail.Reason = event.SuspiciousActivity, event.Failure, "refresh_token_"+string(turn)
		f.Events.Append(tx, e)
		e.Kind, e.Outcome = event.SessionRevoked, event.Success
		f.Events.Append(tx, e)
		if err := EndSession(tx, f.Revoked, g.Session, now); err != nil || turn == session.Ahead {
			return err
		}
		return NotifyReuse(tx, f.Notices, g.Account, now, from)
	}
	return nil
}
