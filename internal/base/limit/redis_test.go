package limit

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/limit/redistest"
)

// plain is a counter in a Redis of the test's own.
func plain(t *testing.T) *Redis {
	t.Helper()
	return open(t, RedisConfig{Addrs: []string{redistest.Start(t).Addr()}, Password: redistest.Password})
}

func open(t *testing.T, c RedisConfig) *Redis {
	t.Helper()
	r := NewRedis(c)
	t.Cleanup(r.Close)
	return r
}

// at gives it a clock of the test's. Keys then outlive the test, whose clock does
// not go on by itself.
func at(r *Redis, now func() int64) *Redis {
	r.now, r.keep = now, time.Hour
	return r
}

// shared counts in the Redis as one of so many replicas.
func shared(t *testing.T, r *Redis, replicas int) *Shared {
	t.Helper()
	return NewShared(r, func() int { return replicas }, slog.New(slog.NewTextHandler(io.Discard, nil)))
}

// begin starts it, and its prober.
func begin(t *testing.T, s *Shared) {
	t.Helper()
	if trouble, err := s.Begin(t.Context()); err != nil {
		t.Fatal(trouble, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
}

// RATE-4: the clock is Redis's, so replicas need not agree on theirs.
func TestRATE4_RedissOwnClock(t *testing.T) {
	s := redistest.Start(t)
	var counters []*Redis
	for range 3 {
		counters = append(counters, open(t, RedisConfig{Addrs: []string{s.Addr()}, Password: redistest.Password}))
	}
	claim := Claim{Rule{"login", 5, 15 * time.Minute}, fresh()}
	for i := range 10 {
		state := take(t, counters[i%3], claim)[0]
		if state.OK != (i < 5) {
			t.Fatalf("try %d: %+v", i, state)
		}
		if left := 15*time.Minute - state.Reset; state.OK && i == 4 && (left < 0 || left > time.Minute) {
			t.Fatalf("waits %v for all five", state.Reset)
		}
	}
	if !strings.HasPrefix(s.Do("SCRIPT", "FLUSH"), "+OK") { // as a restart does
		t.Fatal("no flush")
	}
	if state := take(t, counters[0], claim, Claim{claim.Rule, fresh()}); state[0].OK || !state[1].OK {
		t.Fatalf("after its scripts were forgotten: %+v", state)
	}
}

// RATE-5: every key expires, soon after its debt is waited off, and nothing that
// was given back is kept.
func TestRATE5_AllKeysExpire(t *testing.T) {
	s := redistest.Start(t)
	r := open(t, RedisConfig{Addrs: []string{s.Addr()}, Password: redistest.Password})
	api, login := Claim{Rule{"api", 600, time.Minute}, fresh()}, Claim{Rule{"login", 5, 15 * time.Minute}, fresh()}
	take(t, r, api, login)
	for claim, want := range map[Claim]int{api: 1100, login: 181_000} {
		var left int
		if n, err := fmt.Sscanf(s.Do("PTTL", keyOfClaim(claim)[0]), ":%d", &left); n != 1 || err != nil || left <= 0 || left > want {
			t.Errorf("%s expires in %d ms, and %d is right: %v", claim.Rule.Name, left, want, err)
		}
	}
	if err := r.GiveBack(t.Context(), login); err != nil {
		t.Fatal(err)
	}
	if said := s.Do("EXISTS", keyOfClaim(login)[0]); said != ":0" {
		t.Errorf("what was given back is kept: %s", said)
	}
	deadline := time.Now().Add(30 * time.Second)
	for s.Do("DBSIZE") != ":0" {
		if time.Now().After(deadline) {
			t.Fatal("a key does not expire:", s.Do("DBSIZE"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// RATE-4: what somebody else wrote under a key makes no error and no debt without
// end.
func TestRATE4_AValueThatIsNotOurs(t *testing.T) {
	s := redistest.Start(t)
	r := open(t, RedisConfig{Addrs: []string{s.Addr()}, Password: redistest.Password})
	for _, value := range []string{"", "x", "1e300 5", "-5 -5", "nan inf", "1", "1 2 3"} {
		login := Claim{Rule{"login", 5, 15 * time.Minute}, fresh()}
		s.Do("SET", keyOfClaim(login)[0], value)
		if state := take(t, r, login)[0]; !state.OK || state.Remaining != 4 {
			t.Errorf("%q: %+v", value, state)
		}
	}
}

// RATE-2: one, two and three replicas on one Redis hold one limit exactly, however
// many ask at once.
func TestRATE2_ReplicasShareOneLimit(t *testing.T) {
	server := redistest.Start(t)
	for replicas := 1; replicas <= 3; replicas++ {
		var all []*Shared
		for range replicas {
			s := shared(t, open(t, RedisConfig{Addrs: []string{server.Addr()}, Password: redistest.Password}), replicas)
			s.patience = time.Minute // what is judged is the counting
			begin(t, s)
			all = append(all, s)
		}
		claim := Claim{Rule{"api", 100, time.Hour}, fresh()}
		var passed atomic.Int64
		var callers sync.WaitGroup
		for i := range 16 {
			callers.Go(func() {
				for n := range 30 {
					s, err := all[(i+n)%replicas].Take(context.Background(), claim)
					if err != nil {
						t.Error(err)
						return
					}
					if s[0].OK {
						passed.Add(1)
					}
				}
			})
		}
		callers.Wait()
		if passed.Load() != 100 {
			t.Errorf("%d replicas: %d of 480 passed, and 100 may", replicas, passed.Load())
		}
		for _, s := range all {
			if s.Local() > 0 || s.Away() != "" {
				t.Errorf("%d replicas: one counted %d times by itself", replicas, s.Local())
			}
		}
	}
}
