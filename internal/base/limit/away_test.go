package limit

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/limit/redistest"
)

// until waits for what a counter is to come to.
func until(t *testing.T, s *Shared, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: %q", what, s.Away())
		}
	}
}

// ailment is something that a Redis has, and is rid of again.
type ailment struct {
	begin, end func(s *redistest.Server, p *dbtest.Proxy)
	want       []Trouble
}

var ailments = map[string]ailment{
	"killed": {
		func(s *redistest.Server, _ *dbtest.Proxy) { s.Kill() },
		func(s *redistest.Server, _ *dbtest.Proxy) { s.Restart(); addUser(s) }, []Trouble{TroubleUnreachable},
	},
	"stopped": {func(s *redistest.Server, _ *dbtest.Proxy) { s.Signal(syscall.SIGSTOP) }, func(s *redistest.Server, _ *dbtest.Proxy) { s.Signal(syscall.SIGCONT) },
		[]Trouble{TroubleTimeout}},
	"behind a network that swallows": {
		func(_ *redistest.Server, p *dbtest.Proxy) { p.Stall() }, func(_ *redistest.Server, p *dbtest.Proxy) { p.Up() }, []Trouble{TroubleTimeout},
	},
	"behind a network that is down": {
		func(_ *redistest.Server, p *dbtest.Proxy) { p.Down() }, func(_ *redistest.Server, p *dbtest.Proxy) { p.Up() }, []Trouble{TroubleUnreachable},
	},
	"slow": {
		func(_ *redistest.Server, p *dbtest.Proxy) { p.Delay(2 * Patience) }, func(_ *redistest.Server, p *dbtest.Proxy) { p.Up() }, []Trouble{TroubleTimeout},
	},
	"a replica": {
		func(s *redistest.Server, _ *dbtest.Proxy) { s.Do("REPLICAOF", "127.0.0.1", "1") },
		func(s *redistest.Server, _ *dbtest.Proxy) { s.Do("REPLICAOF", "NO", "ONE") }, []Trouble{TroubleReadOnly},
	},
	"full": {
		func(s *redistest.Server, _ *dbtest.Proxy) { s.Do("CONFIG", "SET", "maxmemory", "1") },
		func(s *redistest.Server, _ *dbtest.Proxy) { s.Do("CONFIG", "SET", "maxmemory", "0") }, []Trouble{TroubleFull},
	},
	"of another password": {
		func(s *redistest.Server, _ *dbtest.Proxy) {
			s.Do("ACL", "SETUSER", "app", "resetpass", ">another")
			s.Do("CLIENT", "KILL", "USER", "app")
		},
		func(s *redistest.Server, _ *dbtest.Proxy) {
			s.Do("ACL", "SETUSER", "app", "resetpass", ">"+redistest.Password)
		},
		[]Trouble{TroubleLogin},
	},
	"of fewer rights": {
		func(s *redistest.Server, _ *dbtest.Proxy) { s.Do("ACL", "SETUSER", "app", "-set") },
		func(s *redistest.Server, _ *dbtest.Proxy) { s.Do("ACL", "SETUSER", "app", "+set") }, []Trouble{TroubleRights},
	},
}

// addUser makes the user that the counters log in as.
func addUser(s *redistest.Server) {
	s.Do("ACL", "SETUSER", "app", "on", ">"+redistest.Password, "~*", "+@all")
}

// RATE-4: whatever ails Redis, nobody waits for it but once, nobody gets an error or
// more than the replica's share, who has used up a limit has still used it up, and
// all is as before when it is over.
func TestRATE4_WhateverAilsRedis(t *testing.T) {
	for name, a := range ailments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			addUser(server)
			proxy := dbtest.NewProxy(t, server.URL())
			u, err := url.Parse(proxy.URL())
			if err != nil {
				t.Fatal(err)
			}
			s := shared(t, open(t, RedisConfig{Addrs: []string{u.Host}, Username: "app", Password: redistest.Password}), 3)
			log := &lines{}
			s.log = slog.New(slog.NewTextHandler(log, nil))
			begin(t, s)
			until(t, s, "it does not begin to count", func() bool { return s.Away() == "" })
			spent := Claim{Rule{"login", 6, time.Hour}, fresh()}
			for range 6 {
				take(t, s, spent)
			}
			logged := log.count("does not count")

			a.begin(server, proxy)
			took := make([]time.Duration, 31)
			claim := Claim{Rule{"login", 6, time.Hour}, fresh()}
			for i := range took {
				before := time.Now()
				state := take(t, s, claim)[0]
				took[i] = time.Since(before)
				if state.OK != (i < 2) || state.Rule.Limit != 2 {
					t.Fatalf("take %d: %+v", i, state)
				}
			}
			// One of them waited, and on a busy machine for longer than it was asked to.
			slices.Sort(took)
			if median := took[len(took)/2]; median > Patience {
				t.Errorf("half of all wait for over %v", median)
			}
			if state := take(t, s, spent)[0]; state.OK {
				t.Errorf("who has used up a limit gets another: %+v", state)
			}
			if err := s.GiveBack(t.Context(), claim); err != nil {
				t.Error(err)
			}
			if state := take(t, s, claim)[0]; !state.OK {
				t.Errorf("what was given back is not there: %+v", state)
			}
			until(t, s, "it does not say what is wrong with Redis", func() bool { return slices.Contains(a.want, s.Away()) })
			until(t, s, "the log says nothing", func() bool { return log.count("does not count") > logged })

			a.end(server, proxy)
			until(t, s, "Redis is back, and does not count", func() bool { return s.Away() == "" })
			local := s.Local()
			until(t, s, "it goes on by itself", func() bool {
				before := s.Local()
				state := take(t, s, Claim{spent.Rule, fresh()})[0]
				return state.Rule.Limit == 6 && s.Local() == before
			})
			t.Logf("%d takes without Redis; %d logged", local, log.count("does not count"))
		})
	}
}

// RATE-4: many who ask a dead Redis at once all wait at most once, and then nobody.
func TestRATE4_ACrowdBeforeADeadRedis(t *testing.T) {
	server := redistest.Start(t)
	s := shared(t, open(t, RedisConfig{Addrs: []string{server.Addr()}, Password: redistest.Password}), 1)
	begin(t, s)
	server.Signal(syscall.SIGSTOP)
	defer server.Signal(syscall.SIGCONT)
	var all sync.WaitGroup
	claim := Claim{Rule{"api", 100, time.Hour}, fresh()}
	passed := make(chan bool, 64*10)
	for range 64 {
		all.Go(func() {
			for range 10 {
				states, err := s.Take(context.Background(), claim)
				passed <- err == nil && states[0].OK
			}
		})
	}
	all.Wait()
	close(passed)
	n := 0
	for ok := range passed {
		if ok {
			n++
		}
	}
	if n != 100 {
		t.Errorf("%d passed, and 100 may", n)
	}
	if s.Local() != 640 {
		t.Errorf("%d were counted here, of 640", s.Local())
	}
}

// RATE-4: a client that leaves is not Redis's failure.
func TestRATE4_AClientThatLeaves(t *testing.T) {
	s := shared(t, plain(t), 1)
	s.patience = time.Minute
	begin(t, s)
	ctx, leave := context.WithCancel(context.Background())
	leave()
	for range 20 {
		if states, err := s.Take(ctx, Claim{Rule{"api", 100, time.Hour}, fresh()}); err != nil || !states[0].OK || s.Away() != "" {
			t.Fatal(states, err, s.Away())
		}
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}
