package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Crowd is people who come to a server as they do in life: they arrive at a rate
// of their own, whether or not those before were served, sign in or come back with
// a session, look around, refresh, and leave. It is what the load of a whole
// deployment is like, where [Load] is one kind of call.
//
// Arrivals are open (a Poisson process), and a first call is due at the moment of
// the arrival. The later calls of a visit are due a while after the answer before,
// since nobody goes on before it is there. Latencies count from when a call was
// due, and contain what it waited for a connection.
type Crowd struct {
	// Targets are the addresses, one or, to be compared, two: http or https, without a path.
	Targets []*url.URL
	// Rate is how many arrive in a second, on average.
	Rate float64
	Mix  Mix
	// People sign in; without any, so many Accounts are registered, whose addresses begin with Prefix.
	People   []Person
	Accounts int
	Prefix   string
	// Connections is how many are open to a target at most.
	Connections int
	// Warmup goes before each measurement and does not count; Duration is measured.
	Warmup, Duration time.Duration
	// Turns is how often each of two targets is measured, one after the other.
	Turns int
	// MostErrors is the share of the last calls that may go wrong before a run is stopped.
	MostErrors float64
	// Seed decides when people arrive and what they do.
	Seed uint64
	// Progress is told what is being done. It may be nil.
	Progress func(string)
}

// Mix is what people do in a visit.
type Mix struct {
	// New is the share of visits that begin with a registration, Returning that of those which
	// begin with the refresh of a session that was kept; the others sign in.
	New       float64 `json:"new"`
	Returning float64 `json:"returning"`
	// Checks and Refreshes are how many of each there are in a visit, on average.
	Checks    float64 `json:"checks"`
	Refreshes float64 `json:"refreshes"`
	// Leaving is the share of visits that end with a sign-out; the others just go.
	Leaving float64 `json:"leaving"`
	// Think is the time between an answer and the next call, on average.
	Think time.Duration `json:"think"`
}

// What a crowd may be at most: enough for any deployment of a few machines, and an end to every mistake.
const (
	MostArrivals    = 2000.0
	MostDuration    = time.Hour
	MostConnections = 2000
	mostInHouse     = 20_000
)

// sessionsOfPerson is how many sessions of one account a crowd has at once, well within SESSIONS_PER_ACCOUNT.
const sessionsOfPerson = 30

// Length is how long a visit takes, without the server's own time.
func (m Mix) Length() time.Duration {
	return time.Duration((m.Checks + m.Refreshes + m.Leaving + m.New) * float64(m.Think))
}

// PerVisit is how many calls of each kind a visit makes, on average.
func (m Mix) PerVisit() map[Act]float64 {
	return map[Act]float64{
		ActRegister: m.New, ActSignIn: 1 - m.Returning, ActRefresh: m.Returning + m.Refreshes, ActCheck: m.Checks, ActSignOut: m.Leaving,
	}
}

func (m Mix) check() error {
	for _, share := range []float64{m.New, m.Returning, m.Leaving} {
		if !(share >= 0 && share <= 1) {
			return errors.New("a share of the visits is between 0 and 1")
		}
	}
	if m.New+m.Returning > 1 {
		return errors.New("who is new does not come back: both shares are more than all")
	}
	if !(m.Checks >= 0 && m.Checks <= 1000) || !(m.Refreshes >= 0 && m.Refreshes <= 1000) || m.Think < 0 || m.Think > time.Minute {
		return errors.New("a visit has 0 to 1000 checks and refreshes, and between two calls up to a minute")
	}
	return nil
}

// Check reports what is wrong with the plan.
func (c *Crowd) Check() error {
	if len(c.Targets) < 1 || len(c.Targets) > 2 {
		return errors.New("a crowd goes to one target, or to two that are compared")
	}
	for _, t := range c.Targets {
		if err := checkTarget(t); err != nil {
			return err
		}
	}
	switch {
	case !(c.Rate > 0 && c.Rate <= MostArrivals):
		return fmt.Errorf("the rate is above 0 and at most %g arrivals a second", MostArrivals)
	case c.Duration <= 0 || c.Duration > MostDuration || c.Warmup < 0 || c.Warmup > MostDuration:
		return fmt.Errorf("a measurement takes at most %s", MostDuration)
	case c.Connections < 1 || c.Connections > MostConnections:
		return fmt.Errorf("there is at least one connection, and at most %d", MostConnections)
	case c.Turns < 1 || c.Turns > 20:
		return errors.New("there are 1 to 20 turns")
	case !(c.MostErrors > 0 && c.MostErrors <= 1):
		return errors.New("the share of errors that ends a run is above 0 and at most 1")
	case len(c.People) == 0 && (c.Accounts < 1 || c.Accounts > 10_000):
		return errors.New("there are 1 to 10000 accounts")
	}
	return c.Mix.check()
}

// AccountsFor is how many accounts people who arrive at a rate need, so that none has too many sessions at once.
func (m Mix) AccountsFor(rate float64) int {
	return max(8, int(math.Ceil(rate*m.Length().Seconds()/sessionsOfPerson*2)))
}

// Run measures each target at the crowd's rate.
func (c *Crowd) Run(ctx context.Context) (Visits, error) {
	sites, stop, err := c.open(ctx)
	if err != nil {
		return Visits{}, err
	}
	defer stop()
	out := c.report()
	sums := make([]*tally, len(sites))
	for turn := range c.Turns {
		for i, s := range sites {
			c.say("turn %d of %d: %g arrivals a second at %s for %s, after %s of warm-up",
				turn+1, c.Turns, c.Rate, s.target.Host, c.Duration, c.Warmup)
			t := c.measure(ctx, s, c.Rate, uint64(turn))
			if sums[i] == nil {
				sums[i] = t
			} else {
				sums[i].add(t)
			}
			if t.stopped() != "" || ctx.Err() != nil {
				return c.finish(out, sums), context.Cause(ctx)
			}
		}
	}
	return c.finish(out, sums), nil
}

func (c *Crowd) finish(out Visits, sums []*tally) Visits {
	for i, t := range sums {
		if t != nil {
			out.Sides[i].Spells = []Spell{t.spell(c.Rate)}
		}
	}
	return out
}

func (c *Crowd) report() Visits {
	v := Visits{Began: time.Now().UTC().Truncate(time.Second), Mix: c.Mix, Seed: c.Seed}
	for _, t := range c.Targets {
		v.Sides = append(v.Sides, Side{Target: t.String()})
	}
	return v
}

func (c *Crowd) say(format string, args ...any) {
	if c.Progress != nil {
		c.Progress(fmt.Sprintf(format, args...))
	}
}

// open checks the plan and brings the people to each target.
func (c *Crowd) open(ctx context.Context) (sites []*site, stop func(), err error) {
	if err := c.Check(); err != nil {
		return nil, nil, err
	}
	ctx, stop = context.WithCancel(ctx)
	for _, target := range c.Targets {
		s := &site{target: target, people: c.People, pool: newPool(ctx, target, c.Connections)}
		if len(s.people) == 0 {
			c.say("registering %d accounts at %s", c.Accounts, target.Host)
			if s.people, err = register(ctx, target, c.Accounts, c.Prefix); err != nil {
				stop()
				return nil, nil, fmt.Errorf("setting up: %w", err)
			}
		}
		sites = append(sites, s)
	}
	return sites, stop, nil
}

// measure lets people arrive at a target for the warm-up and the measurement.
func (c *Crowd) measure(ctx context.Context, s *site, rate float64, turn uint64) *tally {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	t := newTally(span{from: began.Add(c.Warmup), to: began.Add(c.Warmup + c.Duration)}, c.MostErrors, cancel)
	arrivals := rand.New(rand.NewPCG(c.Seed, turn)) //nolint:gosec // decides when people arrive
	var (
		wg      sync.WaitGroup
		inHouse atomic.Int64
	)
	for due := began; ctx.Err() == nil; {
		due = due.Add(time.Duration(arrivals.ExpFloat64() / rate * float64(time.Second)))
		if !due.Before(t.window.to) {
			break
		}
		v := s.arrive(c, t, due, rand.New(rand.NewPCG(arrivals.Uint64(), turn))) //nolint:gosec // decides what they do
		wait(ctx, time.Until(due))
		t.late(due)
		if inHouse.Add(1) > mostInHouse {
			cancel(fmt.Errorf("%d visits go on at once: the server is not keeping up", mostInHouse))
		}
		wg.Go(func() {
			defer inHouse.Add(-1)
			v.run(ctx)
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		t.stop(err.Error())
	}
	return t
}
