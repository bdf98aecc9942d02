package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Ramp is how the knee is looked for: the rate at which a target begins to fall behind.
type Ramp struct {
	// Most is the rate at which the search ends; it begins with the crowd's.
	Most float64
	// P99 is what the slowest of a hundred calls may take, of any act.
	P99 time.Duration
}

// Knee is how much a target carries.
type Knee struct {
	// Carried is the highest rate that was carried, 0 if none was; Not the lowest that was not, 0 if there was none.
	Carried float64 `json:"carried"`
	Not     float64 `json:"not,omitempty"`
	// Why says what went wrong at Not.
	Why string `json:"why,omitempty"`
	// BoundMS is what the slowest of a hundred calls was allowed.
	BoundMS float64 `json:"bound_ms"`
}

func (k Knee) String() string {
	switch {
	case k.Not == 0:
		return fmt.Sprintf("The knee was not reached: %.4g arrivals a second were carried, and no more were tried.", k.Carried)
	case k.Carried == 0:
		return fmt.Sprintf("Not even %.4g arrivals a second were carried: %s.", k.Not, k.Why)
	}
	return fmt.Sprintf("The knee is between %.4g arrivals a second, which were carried, and %.4g: %s.", k.Carried, k.Not, k.Why)
}

const (
	rampFactor = 1.5 // from one rate to the next, until one is not carried
	halvings   = 2   // of the step in which the knee lies
	// mostBad is the share of calls that may go wrong at a rate that is carried.
	mostBad = 0.01
	// fewCalls are too few for a percentile of their own.
	fewCalls = 20
)

// FindKnee raises the rate at each target until it is not carried any more, and then narrows the step.
func (c *Crowd) FindKnee(ctx context.Context, r Ramp) (Visits, error) {
	if !(r.Most >= c.Rate && r.Most <= MostArrivals) || r.P99 <= 0 {
		return Visits{}, fmt.Errorf("a ramp ends at its first rate or above, at %g at most, and has a bound for p99", MostArrivals)
	}
	sites, stop, err := c.open(ctx)
	if err != nil {
		return Visits{}, err
	}
	defer stop()
	out := c.report()
	for i, s := range sites {
		if err := c.climb(ctx, s, r, &out.Sides[i]); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (c *Crowd) climb(ctx context.Context, s *site, r Ramp, side *Side) error {
	side.Knee = &Knee{BoundMS: float64(r.P99) / float64(time.Millisecond)}
	try := func(rate float64) (bool, error) {
		c.say("%.4g arrivals a second at %s for %s, after %s of warm-up", rate, s.target.Host, c.Duration, c.Warmup)
		spell := c.measure(ctx, s, rate, uint64(len(side.Spells))).spell(rate)
		side.Spells = append(side.Spells, spell)
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if spell.LateMS >= lateness*5 {
			return false, errors.New("this program can't make so many calls here: " + spell.Doubt())
		}
		why := r.missed(spell)
		if why == "" {
			side.Knee.Carried = rate
		} else {
			side.Knee.Not, side.Knee.Why = rate, why
		}
		return why == "", nil
	}
	for rate := c.Rate; ; rate = min(rate*rampFactor, r.Most) {
		carried, err := try(rate)
		if err != nil {
			return err
		}
		if !carried || rate == r.Most {
			break
		}
	}
	for range halvings {
		if side.Knee.Not == 0 || side.Knee.Carried == 0 {
			return nil
		}
		if _, err := try((side.Knee.Carried + side.Knee.Not) / 2); err != nil {
			return err
		}
	}
	return nil
}

// missed says why a rate was not carried, or nothing.
func (r Ramp) missed(s Spell) string {
	if s.Stopped != "" {
		return s.Stopped
	}
	if all, bad := s.Calls(); all == 0 || float64(bad) > mostBad*float64(all) {
		return fmt.Sprintf("%d of %d calls went wrong", bad, all)
	}
	for _, a := range s.Acts {
		if took := time.Duration(a.Latency.P99 * float64(time.Millisecond)); a.Calls >= fewCalls && took > r.P99 {
			return fmt.Sprintf("the p99 of %s was %.0f ms", a.Act, a.Latency.P99)
		}
	}
	return ""
}

// byRate are the measurements in the order of their rates.
func (s Side) byRate() []Spell {
	return slices.SortedFunc(slices.Values(s.Spells), func(a, b Spell) int { return cmp.Compare(a.Rate, b.Rate) })
}
