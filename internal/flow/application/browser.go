package application

import (
	"context"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Browser tells who makes a request with the cookies of a session, of which the access token
// may be missing. It is over after some minutes, and nothing but a page of ours, or a script
// that refreshes, brings another: a form, a script or a WebSocket of an application behind a
// proxy can't. So where there is none that is good the session itself is looked at, by the refresh
// token: that is not replaced by it, since of the many requests that a page makes at once each would
// have to be the one whose answer the browser keeps, and not every proxy hands a cookie on.
//
// What it tells is what the session's row says, at most [lookedUpFor] ago, with all
// that was revoked since: the rules of access tokens hold for it.
func (f *Authenticate) Browser(ctx context.Context, cookies flow.Tokens, from event.Origin) (flow.Identity, error) {
	ctx, run := f.Count.Begin(ctx, "authenticate")
	who, err := f.browser(ctx, cookies, from)
	return who, run.End(err)
}

func (f *Authenticate) browser(ctx context.Context, cookies flow.Tokens, from event.Origin) (flow.Identity, error) {
	if cookies.Access != "" || cookies.Refresh == "" {
		who, err := f.do(ctx, cookies.Access, from)
		if cookies.Refresh == "" || err == nil || fault.KindOf(err) != fault.Unauthenticated {
			return who, err
		}
	}
	c, err := f.session(ctx, cookies.Refresh, from)
	if err != nil {
		return flow.Identity{}, err
	}
	now := f.Now()
	f.Uses.Slide(c.Session, flow.AddressOf(from), now, now.Add(f.Sessions.Idle()))
	return identity(c), nil
}

// identity is what an access token tells.
func identity(c *token.Claims) flow.Identity {
	return flow.Identity{Account: c.Subject, Session: c.Session, Roles: c.Roles, AuthAt: time.Unix(c.AuthTime, 0), AMR: c.AMR}
}

// session returns what an access token would say that is issued now to the refresh token of a cookie.
func (f *Authenticate) session(ctx context.Context, refresh string, from event.Origin) (*token.Claims, error) {
	p, turn := f.Sessions.Present(refresh)
	if turn != "" {
		f.Tally.Add(event.SuspiciousActivity, "refresh_token_"+string(turn), from)
		return nil, token.ErrInvalid.Because(flow.Reason("invalid_token"))
	}
	if known, ok := f.sessions.get(p.Key(), f.Now()); ok {
		if known == nil {
			return nil, errSessionOver
		}
		err := f.Revocations.Check(ctx, known)
		if fault.KindOf(err) != fault.Unauthenticated || err == nil {
			return known, err
		}
	}
	return f.lookUp(ctx, p)
}

// Recognize returns the account of a session by its refresh token, if memory has seen within
// the last seconds that it is alive, or nothing. It costs no look at the database, and decides nothing: it is for
// counting requests.
func (f *Authenticate) Recognize(refresh string) string {
	if refresh == "" {
		return ""
	}
	p, turn := f.Sessions.Present(refresh)
	if turn != "" {
		return ""
	}
	known, ok := f.sessions.get(p.Key(), f.Now())
	if !ok || known == nil || f.Revocations.Dead(known) {
		return ""
	}
	return known.Subject
}

var errSessionOver = token.ErrInvalid.Because(flow.Reason("revoked"))

// lookUp reads the session's row, and remembers what it says.
func (f *Authenticate) lookUp(ctx context.Context, p session.Presented) (*token.Claims, error) {
	now := f.Now()
	var (
		grant   session.Grant
		alive   bool
		refused bool // its next refresh ends it
	)
	err := f.DB.ReadShared(ctx, func(tx *db.Tx) (err error) {
		grant, alive, err = f.Sessions.Look(tx, p, now)
		if err == nil && alive {
			refused, err = f.Demand.Refuses(tx, grant.Account, grant.Roles, grant.AMR, now)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if !alive {
		f.sessions.put(p.Key(), nil, now, now.Add(lookedUpFor))
		return nil, errSessionOver
	}
	c := &token.Claims{
		Subject: grant.Account, Session: grant.Session, Roles: grant.Roles, AMR: grant.AMR, AuthTime: grant.AuthAt.Unix(), IssuedAt: now.Unix(),
	}
	if refused {
		return nil, errSessionOver
	}
	switch err := f.Revocations.Check(ctx, c); {
	case err == nil:
		until := now.Add(lookedUpFor)
		if grant.RefreshUntil.Before(until) {
			until = grant.RefreshUntil
		}
		f.sessions.put(p.Key(), c, now, until)
	case fault.KindOf(err) != fault.Unauthenticated:
		return nil, err
	case f.Revocations.Cut(grant.AuthAt):
		return nil, errSessionOver
	default:
		// The row is younger than what is known here: of two changes of roles, say, the first.
	}
	return c, nil
}

const (
	// lookedUpFor is how long what a row says is believed; what is revoked meanwhile counts at once.
	lookedUpFor = 10 * time.Second
	// lookedUpMost is how many sessions a generation holds: both are under 30 MiB.
	lookedUpMost = 32 << 10
)

// lookedUp remembers sessions by their refresh tokens. It keeps two generations, as the memory
// of checked tokens does.
type lookedUp struct {
	mu         sync.RWMutex
	young, old map[[32]byte]lookedUpSession
}

type lookedUpSession struct {
	claims    *token.Claims // nil for one that is over
	at, until time.Time
}

func (m *lookedUp) get(key [32]byte, now time.Time) (*token.Claims, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s, ok := m.young[key]
	if !ok {
		s, ok = m.old[key]
	}
	return s.claims, ok && !now.Before(s.at) && now.Before(s.until)
}

func (m *lookedUp) put(key [32]byte, c *token.Claims, at, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.young == nil || len(m.young) >= lookedUpMost {
		m.young, m.old = map[[32]byte]lookedUpSession{}, m.young
	}
	m.young[key] = lookedUpSession{c, at, until}
}
