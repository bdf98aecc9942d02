package crashtest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// TestNothingAcknowledgedIsLostWhenTheServerIsKilled kills the server with
// SIGKILL while 32 clients register, sign in, refresh and sign out, and starts
// it again, over and over; some starts are killed as well. Every other life of
// the server has no grace, so that a lost answer is repeated by the retry rule,
// and not by the race's.
func TestNothingAcknowledgedIsLostWhenTheServerIsKilled(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		h := newHouse(t, build(t, ""), dbURL)
		h.start(longGrace)
		s := newStorm(h)
		var longest time.Duration
		for round := range soak(3, 100) {
			s.rage()
			h.kill()
			if round%4 == 1 {
				h.startInVain()
			}
			began := time.Now()
			h.start([]int{0, longGrace}[round%2])
			longest = max(longest, time.Since(began))
		}
		s.calm()
		t.Logf("the longest restart took %s", longest.Round(time.Millisecond))
	})
}

// TestAFirstStartThatWasKilledIsMendedByTheNext kills servers while they make
// their schema and their keys.
func TestAFirstStartThatWasKilledIsMendedByTheNext(t *testing.T) {
	for name, empty := range map[string]func(testing.TB) string{"sqlite": dbtest.EmptySQLite, "postgres": dbtest.EmptyPostgres} {
		t.Run(name, func(t *testing.T) {
			for range soak(3, 50) {
				h := newHouse(t, build(t, ""), empty(t))
				for range 3 {
					h.startInVain()
				}
				h.start(longGrace)
				past := newHistory()
				c := newClient(0, h, past)
				e := h.address.Load()
				if !c.register(e, "ada@example.org", "a long passphrase").ok {
					t.Error("registering was refused")
				}
				if l, first, a := c.signIn(e, "ada@example.org", "a long passphrase"); !a.ok || !c.refresh(e, l, first).ok {
					t.Error("the account does not work")
				}
				h.stop()
				for _, line := range h.errors() {
					t.Errorf("the server logged: %s", line)
				}
			}
		})
	}
}

// storm is 32 clients that live on while the house is killed under them.
type storm struct {
	*house
	past    *history
	clients []*citizen
	over    atomic.Bool
	wait    sync.WaitGroup
}

func newStorm(h *house) *storm {
	s := &storm{house: h, past: newHistory()}
	for i := range 32 {
		c := &citizen{client: newClient(i, h, s.past), storm: s}
		s.clients = append(s.clients, c)
		s.wait.Go(c.live)
	}
	return s
}

// rage returns in the midst of the storm: at a random moment after every client
// was answered twice.
func (s *storm) rage() {
	s.Helper()
	s.everybodyIsAnswered(2)
	time.Sleep(rand.N(80 * time.Millisecond))
}

func (s *storm) everybodyIsAnswered(times int64) {
	s.Helper()
	before := make([]int64, len(s.clients))
	for i, c := range s.clients {
		before[i] = c.answers.Load()
	}
	for i, c := range s.clients {
		for began := time.Now(); c.answers.Load() < before[i]+times; time.Sleep(time.Millisecond) {
			if s.Failed() || time.Since(began) > patience {
				s.over.Store(true)
				s.wait.Wait()
				s.Fatalf("client %d does not go on", i)
			}
		}
	}
}

// calm lets every client finish what it does, looks whether all is there, and
// judges what they saw. It stops the server.
func (s *storm) calm() {
	s.Helper()
	s.settle()
	s.stop()
	if s.judge(s.errors()) == 0 {
		s.Error("no answer was lost: nothing was killed in the midst of anything")
	}
	if s.eventsTellOfEverything() == 0 && soak(0, 1) == 1 {
		s.Error("nothing was killed between a commit and its answer")
	}
}

// settle lets every client finish what it does, and looks whether all is there.
func (s *storm) settle() {
	s.Helper()
	s.everybodyIsAnswered(2)
	s.over.Store(true)
	s.wait.Wait()
	for _, c := range s.clients {
		s.wait.Go(c.takeStock)
	}
	s.wait.Wait()
}

// judge looks for what no order explains in what the clients saw, and for
// bugs that the servers themselves report. It returns how many answers were lost.
func (s *storm) judge(logged []string) (lost int) {
	s.Helper()
	for _, v := range s.past.violations() {
		s.Errorf("no order explains what the clients saw of %s", v)
	}
	for _, line := range logged {
		s.Errorf("the server logged: %s", line)
	}
	counts := map[kind]int{}
	for _, k := range []kind{register, signIn, refresh, logout} {
		counts[k], lost = s.past.counted(k)
		if counts[k] == 0 {
			s.Errorf("nobody managed to %s", k)
		}
	}
	s.Logf("acknowledged: %v; %d answers lost", counts, lost)
	return lost
}

// eventsTellOfEverything makes sure that the log of events, too, holds all that
// was acknowledged: each stands in the transaction of its change. It returns how many
// refreshes were retried outside the grace: the change was there, and its answer was not.
func (s *storm) eventsTellOfEverything() (retried int) {
	s.Helper()
	least := map[string]int{}
	for _, ops := range s.past.sessions {
		least["successful_login"]++
		ended := 0
		for _, o := range ops {
			switch c, a := o.Input.(call), o.Output.(answer); {
			case a.ok && c.kind == refresh:
				least["token_refresh"]++
			case a.ok && c.kind == logout:
				ended = 1 // twice is reported once
			}
		}
		least["logout"] += ended
	}
	for _, ops := range s.past.accounts {
		if acknowledged(ops, register) {
			least["account_registered"]++
		}
	}
	err := dbtest.Open(s.T, s.dbURL).Read(context.Background(), func(tx *db.Tx) error {
		for kind, want := range least {
			var got int
			if err := tx.QueryRow(`SELECT COUNT(*) FROM event WHERE kind = $1 AND outcome = 'success'`, kind).Scan(&got); err != nil {
				return err
			}
			if got < want {
				s.Errorf("%d events %s, and %d were acknowledged", got, kind, want)
			}
		}
		if err := tx.QueryRow(`SELECT COUNT(*) FROM event_personal WHERE data LIKE '%"retried"%'`).Scan(&retried); err != nil {
			return err
		}
		s.Logf("%d refreshes were committed and their answers lost", retried)
		if !strings.HasPrefix(s.dbURL, "sqlite:") {
			return nil
		}
		var verdict string
		if err := tx.QueryRow(`PRAGMA integrity_check`).Scan(&verdict); err != nil || verdict != "ok" {
			s.Errorf("SQLite's integrity check: %s, %v", verdict, err)
		}
		return nil
	})
	if err != nil {
		s.Error(err)
	}
	return retried
}

func acknowledged(ops []porcupine.Operation, k kind) bool {
	for _, o := range ops {
		if o.Input.(call).kind == k && o.Output.(answer).ok {
			return true
		}
	}
	return false
}

// citizen is a client of a storm, and what it may count on.
type citizen struct {
	*client
	storm    *storm
	accounts []string // acknowledged, and nobody else's
	sessions []holding
}

// holding is a session with the token to go on with; ended ones have one, too,
// that must not work.
type holding struct {
	life
	token token
	ended bool
}

func (c *citizen) password() string { return fmt.Sprintf("a long passphrase of client %d", c.id) }

// live registers, signs in, refreshes and signs out until the storm is over.
// Each call that is not answered is made again, word for word.
func (c *citizen) live() {
	for n := 0; !c.storm.over.Load(); n++ {
		email := fmt.Sprintf("client%d.%d@example.org", c.id, n)
		mine := n%4 != 3
		if !mine {
			email = fmt.Sprintf("everybody.%d@example.org", n) // all want this one
		}
		c.must("registering", func(e *endpoint) answer { return c.register(e, email, c.password()) })
		if mine {
			c.accounts = append(c.accounts, email)
		}
		var s holding
		a := c.insist(func(e *endpoint) (a answer) { s.life, s.token, a = c.signIn(e, email, c.password()); return a })
		switch {
		case a.ok:
			c.spend(&s)
			c.sessions = append(c.sessions, s)
		case mine:
			c.house.Errorf("client %d: the account %s was acknowledged, and is not there", c.id, email)
			return
		}
	}
}

// spend uses a session for a while, and perhaps ends it.
func (c *citizen) spend(s *holding) {
	for range 2 + c.random.IntN(8) {
		if c.random.IntN(4) == 0 {
			c.twoTabs(s)
		} else {
			s.token = c.goOn(*s)
		}
		if c.random.IntN(4) == 0 {
			c.must("asking who it is", func(e *endpoint) answer { return c.alive(e, s.life) })
		}
	}
	if c.random.IntN(2) == 0 {
		return
	}
	with := s.token
	if c.random.IntN(2) == 0 {
		with = token{}
	}
	c.must("signing out", func(e *endpoint) answer { return c.logout(e, s.life, with) })
	s.ended = true
	c.isOver(*s)
}

// goOn refreshes with the token that the session's holder has, which must work
// however often the answer was lost.
func (c *citizen) goOn(s holding) token {
	return c.must("refreshing", func(e *endpoint) answer { return c.refresh(e, s.life, s.token) }).token
}

// isOver makes sure that a session which was ended stays so: its refresh tokens at once, its access tokens as soon as
// every replica knows.
func (c *citizen) isOver(s holding) {
	refreshed := c.insist(func(e *endpoint) answer { return c.refresh(e, s.life, s.token) }).ok
	time.Sleep(c.house.hears)
	if refreshed ||
		c.insist(func(e *endpoint) answer { return c.alive(e, s.life) }).ok {
		c.house.Errorf("client %d: its session %s was signed out, and lives", c.id, s.id)
	}
}

// twoTabs uses one token twice at once, which is harmless within the grace. Both
// ask the same life of the server.
func (c *citizen) twoTabs(s *holding) {
	e := c.house.address.Load()
	if e == nil || !s.graced(e) {
		return
	}
	var (
		answers [2]answer
		wait    sync.WaitGroup
	)
	for i := range answers {
		wait.Go(func() { answers[i] = c.refresh(e, s.life, s.token) })
	}
	wait.Wait()
	for _, a := range answers {
		switch {
		case a.ok:
			s.token = a.token // the history shows whether they are the same
		case !a.lost:
			c.house.Errorf("client %d: one of two tabs was refused", c.id)
		}
	}
}

// takeStock tries everything once more that was ever acknowledged.
func (c *citizen) takeStock() {
	for _, email := range c.accounts {
		c.must("signing in to an acknowledged account", func(e *endpoint) (a answer) {
			_, _, a = c.signIn(e, email, c.password())
			return a
		})
	}
	for _, s := range c.sessions {
		if s.ended {
			c.isOver(s)
		} else {
			c.goOn(s)
		}
	}
}
