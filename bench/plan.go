package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/bench"
	"github.com/gatehouse-auth/gatehouse/internal/bench/capacity"
)

// planMargin is how far from what was measured the plan may be.
const planMargin = 0.25

// planRates are how many people arrive a second, one run after another.
var planRates = []float64{4, 12}

// plan holds what the capacity model says against people who do everything at once.
func (r *run) plan(ctx context.Context) ([]Measure, error) {
	b, err := os.ReadFile(costsFile) // and not what is embedded: this run may have measured it
	if err != nil {
		return nil, err
	}
	costs, err := capacity.Read(b)
	if err != nil {
		return nil, err
	}
	costs.HashMS = 0 // hashing is the same arithmetic, and would outweigh everything else
	c, stop, err := r.startCosted(ctx, cheap)
	if err != nil {
		return nil, err
	}
	defer stop()
	var out []Measure
	for _, rate := range planRates {
		ms, err := r.planAt(ctx, c, costs, rate)
		if err != nil {
			return nil, err
		}
		out = append(out, ms...)
	}
	return out, nil
}

func (r *run) planAt(ctx context.Context, c *costed, costs capacity.Costs, rate float64) ([]Measure, error) {
	crowd := &bench.Crowd{
		Targets: []*url.URL{c.url}, Rate: rate, People: c.people, Prefix: "plan", Connections: 100, Turns: 1, MostErrors: .05, Seed: 1,
		Mix:      bench.Mix{New: .02, Returning: .5, Checks: 6, Refreshes: 2, Leaving: .4, Think: 200 * time.Millisecond},
		Duration: 20 * r.turn, // tables grow by whole pages
	}
	before, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	visits, err := crowd.Run(ctx)
	if err != nil {
		return nil, err
	}
	time.Sleep(settling)
	after, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	calls := map[bench.Act]float64{}
	spell := visits.Sides[0].Spells[0]
	for _, a := range spell.Acts {
		if a.Bad() > 0 {
			return nil, fmt.Errorf("%s went wrong: %v", a.Act, a.Outcomes)
		}
		calls[a.Act] = float64(a.Calls)
	}
	used := after.since(before, 1, capacity.Cost{})
	expected := costs.Use(calls, after.at.Sub(before.at).Seconds())
	var out []Measure
	for _, one := range []struct {
		what, unit       string
		measured, reckon float64
	}{
		{"the server's time", "ms of a core", used.ServerMS, expected.ServerMS},
		{"the database's time", "ms of a core", used.DatabaseMS, expected.DatabaseMS},
		{"commands to Redis", "commands", used.RedisCommands, expected.RedisCommands},
		{"what the log of events grew by", "bytes", used.EventBytes, expected.EventBytes},
	} {
		out = append(out, Measure{
			Name: "plan", What: fmt.Sprintf("%s, %g people a second : what the plan says", one.what, rate), Unit: one.unit,
			Ours: one.measured, Theirs: one.reckon, Ratio: one.measured / one.reckon, AtLeast: 1 - planMargin, AtMost: 1 + planMargin,
		})
	}
	return out, nil
}
