// Package limit is rate limiting: in memory, or in a Redis that all replicas
// share.
//
// Both use the same algorithm: GCRA, a leaky bucket stored as one number. A
// rule of 5 in 15 minutes lets five through at once and then one every three
// minutes; there is no window boundary at which ten could pass.
//
// # How it works
//
// A counter is stored as a debt and the time at which it was computed, so that a clock
// that is set back neither forgives nor adds any. Keys are keyed hashes of a fixed
// size. In Redis the same is one script (gcra.lua), one key at a time; one test suite
// and one model check both.
//
// [Shared] keeps working without Redis: the first call that Redis does not answer
// within 50 ms opens the circuit breaker, and one prober closes it. What Redis counted
// is noted in memory as well, in units of the replica's share, so that no debt is
// forgotten when Redis becomes unavailable. Heartbeat rows say how many replicas there
// are (package job).
package limit

import (
	"context"
	"time"
)

// Rule is how often something may be done under one key.
type Rule struct {
	// Name is the rule's in metrics, headers and events: in small letters.
	Name string
	// Limit is how often in a Window: 1 or more of a microsecond or more each.
	Limit  int
	Window time.Duration
}

// Key is what is counted apart under a rule: a keyed hash, so that nothing that
// points at a person leaves the process.
type Key [16]byte

// Claim is one rule under one key.
type Claim struct {
	Rule Rule
	Key  Key
}

// State is how a claim stands after it was taken, or refused.
type State struct {
	Rule Rule
	// OK is false if it was refused. Then none of the other claims has counted either.
	OK bool
	// Remaining is how many more there may be at once.
	Remaining int
	// Reset is how long it takes until all of Limit may be done again, and Retry
	// until one may after a refusal.
	Reset, Retry time.Duration
}

// Exceeded is the cause of an error that says that a claim was refused.
type Exceeded struct{ State State }

// Error implements error.
func (e *Exceeded) Error() string { return "the limit of " + e.State.Rule.Name + " is used up" }

// Counter counts. The claims of one call are all or nothing: if one of them is
// refused none has counted, so that nobody uses up another's limit by requests
// for which nothing is done.
type Counter interface {
	// Take takes all claims, or none: they were taken if each State is OK. The one
	// of a claim that has room, and was not taken since another was refused, says
	// how it stands. Put first what is the caller's own, and what is somebody else's
	// last: where the counter can't take all at one moment, a later claim is touched
	// only once those before it had room.
	Take(ctx context.Context, claims ...Claim) ([]State, error)
	// GiveBack undoes one Take of the claim that was not refused.
	GiveBack(ctx context.Context, claim Claim) error
}

// bucket is what is remembered of a key: how many microseconds of waiting are
// due, and when that was so. The moment is kept with the debt, rather than
// added to it, so that a clock that was set back neither forgives nor adds any:
// no time has passed then.
type bucket struct{ debt, at int64 }

// after is the bucket some time later.
func (b bucket) after(now int64) bucket {
	return bucket{debt: max(0, b.debt-max(0, now-b.at)), at: now}
}

// interval is what one costs, in microseconds. It is rounded up, so that no rule
// lets more through than it says.
func (r Rule) interval() int64 {
	n := int64(r.Limit)
	return (r.Window.Microseconds() + n - 1) / n
}

// capacity is the most that may be due.
func (r Rule) capacity() int64 { return r.interval() * int64(r.Limit) }

// take is GCRA. One that is refused changes nothing.
func (r Rule) take(b bucket, now int64) (bucket, State) {
	b = b.after(now)
	ok := b.debt+r.interval() <= r.capacity()
	if ok {
		b.debt += r.interval()
	}
	return b, r.state(ok, b.debt)
}

// giveBack undoes one.
func (r Rule) giveBack(b bucket, now int64) bucket {
	b = b.after(now)
	b.debt = max(0, b.debt-r.interval())
	return b
}

// look is how a claim stands that is not taken.
func (r Rule) look(b bucket, now int64) State {
	b = b.after(now)
	return r.state(b.debt+r.interval() <= r.capacity(), b.debt)
}

// AllOK reports whether claims were taken.
func AllOK(states []State) bool {
	for _, s := range states {
		if !s.OK {
			return false
		}
	}
	return true
}

// state says what a debt means.
func (r Rule) state(ok bool, debt int64) State {
	room := r.capacity() - debt
	s := State{Rule: r, OK: ok, Remaining: int(max(0, room/r.interval())), Reset: time.Duration(debt) * time.Microsecond}
	if !ok {
		// A rule that was made stricter leaves debts above its capacity.
		s.Remaining, s.Retry = 0, time.Duration(r.interval()-room)*time.Microsecond
	}
	return s
}
