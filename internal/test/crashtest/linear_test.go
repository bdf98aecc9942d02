package crashtest_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// TestHistoriesAreLinearizable lets 32 clients share sessions and addresses, and
// use tokens that others have just replaced. With the longest grace a replaced
// token must get the very same successor; with none, a retry makes the first
// one dead.
func TestHistoriesAreLinearizable(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		h := newHouse(t, build(t, ""), dbURL)
		for _, grace := range []int{longGrace, 0} {
			h.start(grace)
			past := newHistory()
			contend(h, past, soak(60, 500))
			for _, v := range past.violations() {
				t.Errorf("grace %d s: no order explains what the clients saw of %s", grace, v)
			}
			refreshes, lost := past.counted(refresh)
			registrations, _ := past.counted(register)
			logouts, _ := past.counted(logout)
			t.Logf("grace %d s: %d sessions; %d refreshes, %d logouts, %d registrations succeeded, %d answers lost",
				grace, len(past.sessions), refreshes, logouts, registrations, lost)
			if refreshes == 0 || logouts == 0 || registrations == 0 {
				t.Error("the clients did not do all that they should")
			}
			h.stop()
		}
		for _, line := range h.errors() {
			t.Errorf("the server logged: %s", line)
		}
	})
}

// TestTheCheckerFindsABrokenCompareAndSet gives the same clients a server that
// was built with -tags brokencas: see internal/feature/session/cas_broken.go.
func TestTheCheckerFindsABrokenCompareAndSet(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		h := newHouse(t, build(t, "brokencas"), dbURL)
		h.start(longGrace)
		past := newHistory()
		contend(h, past, 20)
		found := judge("session", sessionModel, past.sessions)
		if len(found) == 0 {
			t.Fatal("the checker found nothing wrong with a server whose compare-and-set is broken")
		}
		t.Logf("%d of %d sessions break the rules, such as %s", len(found), len(past.sessions), found[0])
	})
}

// shared is a session that several clients hold at once.
type shared struct {
	mu     sync.Mutex
	life   life
	tokens []token // the latest last; empty when the session is over
	number int     // of sessions before it
}

// contend lets 32 clients, four to a session, make so many calls each.
func contend(h *house, past *history, calls int) {
	const clients, groups = 32, 8
	var (
		all  [groups]shared
		wait sync.WaitGroup
	)
	for i := range clients {
		c := newClient(i, h, past)
		wait.Go(func() {
			for range calls {
				c.contend(&all[i%groups], i%groups)
			}
		})
	}
	wait.Wait()
}

// contend makes one call to the group's session, or begins the next one.
func (c *client) contend(s *shared, group int) {
	s.mu.Lock()
	l, tokens, number := s.life, s.tokens, s.number
	s.mu.Unlock()
	if len(tokens) == 0 {
		c.contendForAddress(s, group, number)
		return
	}
	t := tokens[len(tokens)-1]
	switch dice := c.random.IntN(100); {
	case dice < 2:
		if c.random.IntN(2) == 0 {
			t = token{}
		}
		c.insist(func(e *endpoint) answer { return c.logout(e, l, t) })
		return
	case dice < 15:
		c.insist(func(e *endpoint) answer { return c.alive(e, l) })
		return
	case dice < 16:
		t = tokens[c.random.IntN(len(tokens))] // a thief
	case dice < 24:
		t = tokens[max(0, len(tokens)-2)]
	}
	a := c.insist(func(e *endpoint) answer { return c.refresh(e, l, t) })
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.number != number: // somebody has begun the next one
	case !a.ok:
		s.tokens, s.number = nil, number+1
	case a.token.generation >= s.tokens[len(s.tokens)-1].generation && a.token != s.tokens[len(s.tokens)-1]:
		s.tokens = append(s.tokens[:len(s.tokens):len(s.tokens)], a.token)
	}
}

// contendForAddress registers an address with a password of its own, and begins
// the group's next session if it was the first.
func (c *client) contendForAddress(s *shared, group, number int) {
	email := fmt.Sprintf("group%d.%d.%d@example.org", group, number, c.house.address.Load().grace)
	password := fmt.Sprintf("a long passphrase of client %d", c.id)
	c.insist(func(e *endpoint) answer { return c.register(e, email, password) })
	var (
		l     life
		first token
	)
	a := c.insist(func(e *endpoint) (a answer) { l, first, a = c.signIn(e, email, password); return a })
	if !a.ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.number == number && len(s.tokens) == 0 {
		s.life, s.tokens = l, []token{first}
	}
}
