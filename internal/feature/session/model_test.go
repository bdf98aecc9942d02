package session_test

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

// model is one session by the rules of refresh tokens as they are written down,
// in plain code without a database. The real one must never differ from it.
type model struct {
	config session.Config

	generation    uint32
	current       string
	predecessor   string // of the current one; empty before the first rotation
	mintedAt      time.Time
	rotatedAt     time.Time
	idleAt, maxAt time.Time
	ended         bool
	generationOf  map[string]uint32 // of every token ever handed out
}

func newModel(c session.Config, first string, now time.Time) *model {
	return &model{
		config: c, generation: 1, current: first, mintedAt: now, rotatedAt: now,
		idleAt: now.Add(c.Idle), maxAt: now.Add(c.Max),
		generationOf: map[string]uint32{first: 1},
	}
}

// expect says which turn the use of a token must take.
func (m *model) expect(token string, now time.Time) session.Turn {
	switch {
	case m.ended || !now.Before(m.idleAt) || !now.Before(m.maxAt):
		return session.Refused
	case token == m.current:
		return session.Rotated
	case token == m.predecessor && m.mintedAt.After(now.Add(-m.config.Grace)):
		return session.Raced
	case token == m.predecessor && m.rotatedAt.After(now.Add(-m.config.Retry)):
		return session.Retried
	case m.generationOf[token] > m.generation:
		return session.Ahead
	}
	return session.Reused
}

// apply takes the turn, with the token that the real one handed out.
func (m *model) apply(turn session.Turn, token, successor string, now time.Time) {
	switch turn {
	case session.Rotated:
		m.generation++
		m.predecessor, m.current = token, successor
		m.mintedAt, m.rotatedAt, m.idleAt = now, now, now.Add(m.config.Idle)
	case session.Retried:
		m.current = successor
		m.mintedAt, m.idleAt = now, now.Add(m.config.Idle)
	case session.Reused, session.Ahead:
		m.ended = true
	}
	if successor != "" {
		m.generationOf[successor] = m.generation
	}
}
