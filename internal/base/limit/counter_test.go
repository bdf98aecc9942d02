package limit

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// counters are what the suite judges: each with a clock of the test's, in
// microseconds.
var counters = map[string]func(t *testing.T, now func() int64) Counter{
	"memory": func(_ *testing.T, now func() int64) Counter { return newMemory(Most, now) },
	"redis":  func(t *testing.T, now func() int64) Counter { return at(plain(t), now) },
	"shared, with Redis": func(t *testing.T, now func() int64) Counter {
		s := shared(t, at(plain(t), now), 1)
		s.patience = time.Minute // what is judged is the counting
		begin(t, s)
		return s
	},
	"shared, and Redis is away": func(t *testing.T, now func() int64) Counter {
		s := shared(t, NewRedis(RedisConfig{Addrs: []string{"127.0.0.1:1"}}), 1)
		s.memory = newMemory(Most, now)
		return s
	},
}

// suite runs a test on each of them.
func suite(t *testing.T, test func(t *testing.T, c Counter, clock *atomic.Int64)) {
	for name, open := range counters {
		t.Run(name, func(t *testing.T) {
			clock := &atomic.Int64{}
			clock.Store(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro())
			test(t, open(t, clock.Load), clock)
		})
	}
}

var runs atomic.Uint64

// fresh is a key that no other run of a test has.
func fresh() Key { return keyOf(uint64(time.Now().UnixNano()) + runs.Add(1)) }

func take(t interface{ Fatal(...any) }, c Counter, claims ...Claim) []State {
	s, err := c.Take(context.Background(), claims...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// RATE-1: five, and then one each three minutes; what the states say is so.
func TestRATE1_FiveInFifteenMinutes(t *testing.T) {
	suite(t, func(t *testing.T, c Counter, clock *atomic.Int64) {
		login := Claim{Rule{"login", 5, 15 * time.Minute}, fresh()}
		for i := range 5 {
			want := State{Rule: login.Rule, OK: true, Remaining: 4 - i, Reset: time.Duration(i+1) * 3 * time.Minute}
			if s := take(t, c, login)[0]; s != want {
				t.Fatalf("try %d: %+v, want %+v", i, s, want)
			}
		}
		refused := State{Rule: login.Rule, Reset: 15 * time.Minute, Retry: 3 * time.Minute}
		for range 3 { // a refusal costs nothing
			if s := take(t, c, login)[0]; s != refused {
				t.Fatalf("the sixth: %+v, want %+v", s, refused)
			}
		}
		clock.Add((3*time.Minute - time.Microsecond).Microseconds())
		if s := take(t, c, login)[0]; s.OK || s.Retry != time.Microsecond {
			t.Fatalf("a microsecond too early: %+v", s)
		}
		clock.Add(1)
		if s := take(t, c, login)[0]; !s.OK || s.Remaining != 0 {
			t.Fatalf("after three minutes: %+v", s)
		}
		clock.Add((3 * time.Hour).Microseconds())
		if s := take(t, c, login)[0]; s.Remaining != 4 {
			t.Fatalf("after hours: %+v", s)
		}
	})
}

// RATE-1: a success gives its try back, and no more than that.
func TestRATE1_ATryIsGivenBack(t *testing.T) {
	suite(t, func(t *testing.T, c Counter, _ *atomic.Int64) {
		login := Claim{Rule{"login", 5, 15 * time.Minute}, fresh()}
		for range 20 {
			if s := take(t, c, login)[0]; s.Remaining != 4 {
				t.Fatalf("after a success: %+v", s)
			}
			for range 2 { // the second has nothing to give
				if err := c.GiveBack(context.Background(), login); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// Attack 1: several claims in one call are all or nothing: whoever has used up
// their own limit takes nothing of another's, however often they ask.
func TestAttack1_SeveralClaimsAreAllOrNothing(t *testing.T) {
	suite(t, func(t *testing.T, c Counter, _ *atomic.Int64) {
		network := Claim{Rule{"reset_network", 30, time.Hour}, fresh()}
		address := func() Claim { return Claim{Rule{"reset", 3, time.Hour}, fresh()} }
		spent := address()
		for i := range 40 {
			s := take(t, c, network, spent)
			if s[0].OK != true || s[1].OK != (i < 3) || s[0].Remaining != 30-min(i+1, 3) || s[1].Rule.Name != "reset" {
				t.Fatalf("%d: %+v", i, s)
			}
		}
		for range 9 {
			if !AllOK(take(t, c, network, address(), address(), address())) {
				t.Fatal("the network is refused too early")
			}
		}
		for range 18 {
			take(t, c, network)
		}
		victim := address()
		for range 40 {
			if s := take(t, c, network, victim); s[0].OK || !s[1].OK || s[1].Remaining != 3 || s[1].Reset != 0 {
				t.Fatalf("a network that has used up its limit: %+v", s)
			}
			if s := take(t, c, victim, network); s[1].OK || !s[0].OK || s[0].Remaining != 3 {
				t.Fatalf("and in the other order: %+v", s)
			}
		}
		for i := range 3 {
			if s := take(t, c, victim)[0]; !s.OK || s.Remaining != 2-i {
				t.Fatalf("the victim has lost some: %+v", s)
			}
		}
	})
}

// Attack 1, many at once: never more than a limit has pass, and what a refused call
// took for a moment is there again afterwards.
func TestAttack1_ManyAtOnce(t *testing.T) {
	suite(t, func(t *testing.T, c Counter, _ *atomic.Int64) {
		wide, narrow := Claim{Rule{"wide", 1000, time.Hour}, fresh()}, Claim{Rule{"narrow", 7, time.Hour}, fresh()}
		var passed atomic.Int64
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				for range 10 {
					claims := []Claim{wide, narrow}
					if i%2 == 0 { // in the other order, which must not wait for each other
						claims = []Claim{narrow, wide}
					}
					s, err := c.Take(context.Background(), claims...)
					if err != nil {
						t.Error(err)
						return
					}
					if AllOK(s) {
						passed.Add(1)
					}
				}
			})
		}
		all.Wait()
		if s := take(t, c, wide)[0]; passed.Load() != 7 || s.Remaining != 1000-8 {
			t.Errorf("%d passed, where 7 may; the wide rule has %d left, and 992 is right", passed.Load(), s.Remaining)
		}
	})
}

// RATE-2: many at once are counted exactly.
func TestRATE2_ManyAtOnce(t *testing.T) {
	suite(t, func(t *testing.T, c Counter, _ *atomic.Int64) {
		claim := Claim{Rule{"api", 100, time.Hour}, fresh()}
		var passed atomic.Int64
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 50 {
					s, err := c.Take(context.Background(), claim)
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
		all.Wait()
		if passed.Load() != 100 {
			t.Errorf("%d of 400 passed, and 100 may", passed.Load())
		}
	})
}

// RATE-4: a clock that is set back or forward does no harm: back, nobody waits
// longer and nobody gets more; forward, nobody gets more than a full count.
func TestRATE4_AClockThatJumps(t *testing.T) {
	suite(t, func(t *testing.T, c Counter, clock *atomic.Int64) {
		for _, jump := range []time.Duration{-time.Second, -time.Minute, -100 * 24 * time.Hour, 100 * 24 * time.Hour} {
			login := Claim{Rule{"login", 5, 15 * time.Minute}, fresh()}
			for range 3 {
				take(t, c, login)
			}
			clock.Add(jump.Microseconds())
			left := 2
			if jump > 0 {
				left = 5
			}
			for i := range left {
				if s := take(t, c, login)[0]; !s.OK {
					t.Fatalf("%v: refused after %d of %d", jump, i, left)
				}
			}
			s := take(t, c, login)[0]
			if s.OK || s.Retry != 3*time.Minute {
				t.Fatalf("%v: %+v", jump, s)
			}
			clock.Add(s.Retry.Microseconds())
			if s := take(t, c, login)[0]; !s.OK {
				t.Fatalf("%v: a client that waited as long as it was asked to is refused: %+v", jump, s)
			}
		}
	})
}

// ledger is the model: the moments at which each one's cost will have been
// waited off, one after the other. It is slow and plain.
type ledger struct {
	rule  Rule
	clock int64   // goes on by what the real one goes forward
	seen  int64   // the real one, when it was last looked at
	ends  []int64 // of those that are not yet waited off, in order
}

func (l *ledger) pass(now int64) {
	if now > l.seen {
		l.clock += now - l.seen
	}
	l.seen = now
	for len(l.ends) > 0 && l.ends[0] <= l.clock {
		l.ends = l.ends[1:]
	}
}

// room reports whether one would be taken.
func (l *ledger) room(now int64) bool {
	copied := *l
	copied.ends = slices.Clone(l.ends)
	ok, _ := copied.take(now)
	l.pass(now)
	return ok
}

func (l *ledger) take(now int64) (ok bool, remaining int) {
	l.pass(now)
	cost := (l.rule.Window.Microseconds() + int64(l.rule.Limit) - 1) / int64(l.rule.Limit)
	end := l.clock
	if len(l.ends) > 0 {
		end = l.ends[len(l.ends)-1]
	}
	// The first of Limit costs still to come ends so late: no room.
	if ok = end+cost-l.clock <= cost*int64(l.rule.Limit); ok {
		end += cost
		l.ends = append(l.ends, end)
	}
	return ok, l.rule.Limit - len(l.ends)
}

// giveBack takes the last one off: what is due is due that much sooner.
func (l *ledger) giveBack(now int64) {
	l.pass(now)
	if len(l.ends) > 0 {
		l.ends = l.ends[:len(l.ends)-1]
	}
}

// RATE-1: whatever is asked, whenever, and however the clock jumps, the counters
// say what the model says.
func TestRATE1_TheModel(t *testing.T) {
	suite(t, func(t *testing.T, c Counter, clock *atomic.Int64) {
		rapid.Check(t, func(t *rapid.T) {
			rule := Rule{"model", rapid.IntRange(1, 12).Draw(t, "limit"), time.Duration(rapid.Int64Range(1, 1e7).Draw(t, "window")) * time.Microsecond}
			rule.Window += time.Duration(rule.Limit) * time.Microsecond
			models := [3]*ledger{}
			claims := [3]Claim{}
			for i := range models {
				rule := rule
				rule.Limit = max(1, rule.Limit-3*i) // a few that differ
				models[i], claims[i] = &ledger{rule: rule, seen: clock.Load()}, Claim{rule, fresh()}
			}
			var did []string
			for range rapid.IntRange(1, 40).Draw(t, "steps") {
				i := rapid.IntRange(0, 2).Draw(t, "key")
				switch rapid.IntRange(0, 8).Draw(t, "what") {
				case 6, 7, 8: // two or all three, in some order: all or nothing
					order := rapid.Permutation([]int{0, 1, 2}).Draw(t, "keys")[:rapid.IntRange(2, 3).Draw(t, "many")]
					several, want := []Claim{}, true
					for _, i := range order {
						several = append(several, claims[i])
						want = want && models[i].room(clock.Load())
					}
					states := take(t, c, several...)
					did = append(did, fmt.Sprint("take ", order))
					for n, i := range order {
						ok, remaining := models[i].room(clock.Load()), models[i].rule.Limit-len(models[i].ends)
						if want {
							_, remaining = models[i].take(clock.Load())
						}
						if states[n].OK != ok || states[n].Remaining != remaining {
							t.Fatalf("%+v of %d, and the model says %v, %d left, after %v", states[n], i, ok, remaining, did)
						}
					}
				case 0:
					d := rapid.Int64Range(-2*rule.capacity(), 2*rule.capacity()).Draw(t, "jump")
					clock.Add(d)
					did = append(did, fmt.Sprint("clock ", d))
				case 1:
					models[i].giveBack(clock.Load())
					if err := c.GiveBack(context.Background(), claims[i]); err != nil {
						t.Fatal(err)
					}
					did = append(did, fmt.Sprint("give back ", i))
				default:
					ok, remaining := models[i].take(clock.Load())
					s := take(t, c, claims[i])[0]
					did = append(did, fmt.Sprint("take ", i))
					if s.OK != ok || s.Remaining != remaining {
						t.Fatalf("%+v, and the model says %v, %d left, after %v", s, ok, remaining, did)
					}
				}
			}
		})
	})
}
