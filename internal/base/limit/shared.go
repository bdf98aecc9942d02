package limit

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Shared counts in a Redis together with other replicas. While that is away it
// counts by itself, under the part of each limit that falls to one replica: so all
// replicas together let no more through than the limit says.
//
// What was counted in Redis is noted in memory too, in shares. So nobody who used
// up a limit gets a new one because Redis went away; and what one replica was asked
// of a limit is about what the others were, if requests are spread evenly.
type Shared struct {
	redis    *Redis
	memory   *Memory
	replicas func() int
	log      *slog.Logger
	patience time.Duration // how long a request waits for Redis

	away  atomic.Pointer[Trouble] // nil while Redis counts
	wake  chan struct{}           // for the prober: Redis went away
	local atomic.Uint64
}

const (
	// Patience is how long a request waits for Redis.
	Patience = 50 * time.Millisecond
	// opening is how long the prober waits for a connection to open.
	opening = time.Second
	// While Redis is away it is asked again after firstProbe, and then less often,
	// down to once in lastProbe.
	firstProbe = 50 * time.Millisecond
	lastProbe  = time.Second
)

// NewShared returns one that counts by itself until [Shared.Begin]. The replicas
// are those that count in this Redis, this one included.
func NewShared(r *Redis, replicas func() int, log *slog.Logger) *Shared {
	s := &Shared{redis: r, memory: NewMemory(), replicas: replicas, log: log, patience: Patience, wake: make(chan struct{}, 1)}
	s.lost(TroubleUnreachable)
	return s
}

// Begin asks Redis for the first time. Its error is of a Redis that will not count
// until somebody changes a setting; one that is away is waited for by Run.
func (s *Shared) Begin(ctx context.Context) (Trouble, error) {
	err := s.probe(ctx)
	if err == nil {
		s.away.Store(nil)
		return "", nil
	}
	trouble := TroubleOf(err)
	s.away.Store(&trouble)
	if trouble.Lasting() {
		return trouble, err
	}
	return "", nil
}

// Run looks whether Redis is back, whenever it is away, until the context ends.
func (s *Shared) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			if s.away.Load() != nil {
				s.await(ctx)
			}
		}
	}
}

// await asks Redis until it counts.
func (s *Shared) await(ctx context.Context) {
	logged := false
	for wait := firstProbe; ; wait = min(2*wait, lastProbe) {
		err := s.probe(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			s.away.Store(nil)
			if logged {
				s.log.Info("Redis counts again for the rate limits.")
			}
			return
		}
		trouble := TroubleOf(err)
		s.away.Store(&trouble)
		if !logged {
			logged = true
			s.log.Warn("Redis does not count for the rate limits. Until it does, this replica counts by itself, its share of each limit.",
				"trouble", string(trouble), "error", err.Error(), "replicas", s.replicas())
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait/2 + rand.N(wait)): //nolint:gosec // no secret
		}
	}
}

// probe asks twice: first with time enough to open a connection, and then as a
// request does.
func (s *Shared) probe(ctx context.Context) error {
	for _, d := range []time.Duration{opening, s.patience} {
		within, cancel := context.WithTimeout(ctx, d)
		err := s.redis.probe(within)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// Take implements [Counter]. It never fails.
func (s *Shared) Take(ctx context.Context, claims ...Claim) ([]State, error) {
	shares := s.shares(claims)
	var states []State
	asked := s.ask(ctx, func(ctx context.Context) (err error) {
		states, err = s.redis.Take(ctx, claims...)
		return err
	})
	if !asked {
		s.local.Add(1)
		return s.memory.Take(ctx, shares...)
	}
	if AllOK(states) {
		// Each by itself: what this replica was asked of one may be more than its share.
		for _, share := range shares {
			_, _ = s.memory.Take(ctx, share)
		}
	}
	return states, nil
}

// GiveBack implements [Counter].
func (s *Shared) GiveBack(ctx context.Context, claim Claim) error {
	s.ask(ctx, func(ctx context.Context) error { return s.redis.GiveBack(ctx, claim) })
	return s.memory.GiveBack(ctx, s.shares([]Claim{claim})[0])
}

// ask asks Redis, unless it is away, and reports whether it answered. A caller
// does not leave before the answer is there: what was counted is then known.
func (s *Shared) ask(ctx context.Context, what func(context.Context) error) bool {
	if s.away.Load() != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.patience)
	defer cancel()
	err := what(ctx)
	if err != nil {
		s.lost(TroubleOf(err))
	}
	return err == nil
}

// lost lets nobody else wait for Redis, and wakes who looks whether it is back.
func (s *Shared) lost(t Trouble) {
	if s.away.CompareAndSwap(nil, &t) {
		select {
		case s.wake <- struct{}{}:
		default: // it is being woken
		}
	}
}

// shares are the claims with this replica's part of their limits.
func (s *Shared) shares(claims []Claim) []Claim {
	n := max(1, s.replicas())
	out := make([]Claim, len(claims))
	for i, c := range claims {
		c.Rule.Limit = max(1, c.Rule.Limit/n)
		out[i] = c
	}
	return out
}

// Away says what is wrong with Redis, or nothing while it counts.
func (s *Shared) Away() Trouble {
	if t := s.away.Load(); t != nil {
		return *t
	}
	return ""
}

// Local returns how often was counted without Redis.
func (s *Shared) Local() uint64 { return s.local.Load() }

// Len returns how many keys are held in memory.
func (s *Shared) Len() int { return s.memory.Len() }

// Close ends the connections to Redis.
func (s *Shared) Close() { s.redis.Close() }
