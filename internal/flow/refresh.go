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
	ctx, run := f.Count.begin(ctx, "refresh")
	t, turn, err := f.do(ctx, refreshToken, cookie, from)
	if err != nil {
		return Tokens{}, run.end(err)
	}
	run.as(string(turn))
	return t, nil
}

func (f *Refresh) do(ctx context.Context, refreshToken string, cookie bool, from event.Origin) (Tokens, session.Turn, error) {
	if refreshToken == "" {
		return Tokens{}, "", required("refresh_token")
	}
	now := f.Now()
	presented, turn := f.Sessions.Present(refreshToken)
	if turn == "" && presented.FromCookie() && !cookie {
		turn = session.FromCookie
	}
	if turn != "" {
		f.Tally.Add(event.SuspiciousActivity, "refresh_token_"+string(turn), from)
		return Tokens{}, turn, ErrInvalidRefresh.Because(reason(turn))
	}
	var grant session.Grant
	over := false // whether a session that is refused was ended before
	err := f.DB.WriteShared(ctx, presented.SessionID(), func(tx *db.Tx) (err error) {
		grant, turn, err = f.Sessions.Rotate(tx, presented, now)
		if err != nil {
			return err
		}
		if turn, err = f.cut(tx, grant, turn, now); err != nil {
			return err
		}
		f.record(tx, grant, turn, presented, from)
		switch turn {
		case session.Reused:
			return f.notifyReuse(tx, grant.Account, now, from)
		case session.Refused:
			over, err = session.HasEnded(tx, presented.SessionID())
		}
		return err
	})
	if err != nil {
		return Tokens{}, "", err
	}
	switch turn {
	case session.Rotated, session.Raced, session.Retried:
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
	return Tokens{}, turn, ErrInvalidRefresh.Because(reason(turn))
}

// cut ends a session that began before a cut-off: its access tokens are dead
// already, and a fresh one would be as well.
func (f *Refresh) cut(tx *db.Tx, g session.Grant, turn session.Turn, now time.Time) (session.Turn, error) {
	if !slices.Contains([]session.Turn{session.Rotated, session.Raced, session.Retried}, turn) || !f.Revoked.Cut(g.AuthAt) {
		return turn, nil
	}
	_, err := session.End(tx, g.Session, "", session.WhyRevoked, now)
	return session.Refused, err
}

// notifyReuse queues the mail that tells the owner of a reuse.
func (f *Refresh) notifyReuse(tx *db.Tx, id string, now time.Time, from event.Origin) error {
	a, err := account.ByID(tx, id)
	if err != nil {
		return err
	}
	return f.Notices.Send(tx, notice.Mail{
		Kind: notice.TokenReused, Account: a.ID, To: a.Email, Name: a.Name, Locale: a.Locale, At: now,
	}, from)
}

// record appends the events of a turn, and ends the access tokens of a session
// that it has ended.
func (f *Refresh) record(tx *db.Tx, g session.Grant, turn session.Turn, p session.Presented, from event.Origin) {
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
		f.Revoked.EndSession(tx, g.Session)
		f.Events.Append(tx, e)
		e.Kind, e.Outcome = event.SessionRevoked, event.Success
		f.Events.Append(tx, e)
	}
}
