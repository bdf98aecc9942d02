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
	p, turn := f.Sessions.Present(cookies.Refresh)
	if turn != "" {
		f.Tally.Add(event.SuspiciousActivity, "refresh_token_"+string(turn), from)
		return flow.Identity{}, token.ErrInvalid.Because(flow.Reason("invalid_token"))
	}
	s, err := f.seen(ctx, p.Key(), from, func(tx *db.Tx, now time.Time) (seen, bool, error) {
		g, alive, err := f.Sessions.Look(tx, p, now)
		return seenOf(g, g.Session, now), alive, err
	})
	if err != nil {
		return flow.Identity{}, err
	}
	return identity(s.claims), nil
}

// identity is what an access token tells.
func identity(c *token.Claims) flow.Identity {
	return flow.Identity{Account: c.Subject, Session: c.Session, Roles: c.Roles, AuthAt: time.Unix(c.AuthTime, 0), AMR: c.AMR}
}

// seen is what a session's row says.
type seen struct {
	// claims are what an access token would say that is issued now; nil for a session that is over.
	claims *token.Claims
	// session is the row, which a use keeps from idling out, and until when it lives if nobody does.
	session string
	until   time.Time
}

// seenOf is that of a living session, under the id that its access tokens have.
func seenOf(g session.Grant, id string, now time.Time) seen {
	return seen{&token.Claims{
		Subject: g.Account, Session: id, Roles: g.Roles, AMR: g.AMR, AuthTime: g.AuthAt.Unix(), IssuedAt: now.Unix(),
	}, g.Session, g.RefreshUntil}
}

// seen tells whose session it is whose token has the key, from memory, or by a look at the database; and counts the use.
func (f *Authenticate) seen(
	ctx context.Context, key [32]byte, from event.Origin, look func(tx *db.Tx, now time.Time) (seen, bool, error),
) (seen, error) {
	s, err := f.remembered(ctx, key, look)
	if err == nil {
		now := f.Now()
		f.Uses.Slide(s.session, flow.AddressOf(from), now, now.Add(f.Sessions.Idle()))
	}
	return s, err
}

func (f *Authenticate) remembered(ctx context.Context, key [32]byte, look func(tx *db.Tx, now time.Time) (seen, bool, error)) (seen, error) {
	if known, ok := f.sessions.get(key, f.Now()); ok {
		if known.claims == nil {
			return seen{}, errSessionOver
		}
		err := f.Revocations.Check(ctx, known.claims)
		if fault.KindOf(err) != fault.Unauthenticated || err == nil {
			return known, err
		}
	}
	return f.lookUp(ctx, key, look)
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
	if !ok || known.claims == nil || f.Revocations.Dead(known.claims) {
		return ""
	}
	return known.claims.Subject
}

var errSessionOver = token.ErrInvalid.Because(flow.Reason("revoked"))

// lookUp reads the session's row, and remembers what it says.
func (f *Authenticate) lookUp(ctx context.Context, key [32]byte, look func(tx *db.Tx, now time.Time) (seen, bool, error)) (seen, error) {
	now := f.Now()
	var (
		s       seen
		alive   bool
		refused bool // its next refresh ends it
	)
	err := f.DB.ReadShared(ctx, func(tx *db.Tx) (err error) {
		s, alive, err = look(tx, now)
		if err == nil && alive {
			refused, err = f.Demand.Refuses(tx, s.claims.Subject, s.claims.Roles, s.claims.AMR, now)
		}
		return err
	})
	if err != nil {
		return seen{}, err
	}
	if !alive {
		f.sessions.put(key, seen{}, now, now.Add(lookedUpFor))
		return seen{}, errSessionOver
	}
	if refused {
		return seen{}, errSessionOver
	}
	switch err := f.Revocations.Check(ctx, s.claims); {
	case err == nil:
		until := now.Add(lookedUpFor)
		if s.until.Before(until) {
			until = s.until
		}
		f.sessions.put(key, s, now, until)
	case fault.KindOf(err) != fault.Unauthenticated:
		return seen{}, err
	case f.Revocations.Cut(time.Unix(s.claims.AuthTime, 0)):
		return seen{}, errSessionOver
	default:
		// The row is younger than what is known here: of two changes of roles, say, the first.
	}
	return s, nil
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
	seen      seen
	at, until time.Time
}

func (m *lookedUp) get(key [32]byte, now time.Time) (seen, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s, ok := m.young[key]
	if !ok {
		s, ok = m.old[key]
	}
	return s.seen, ok && !now.Before(s.at) && now.Before(s.until)
}

func (m *lookedUp) put(key [32]byte, s seen, at, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.young == nil || len(m.young) >= lookedUpMost {
		m.young, m.old = map[[32]byte]lookedUpSession{}, m.young
	}
	m.young[key] = lookedUpSession{s, at, until}
}
