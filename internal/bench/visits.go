package bench

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Visits is the result of a crowd's run.
type Visits struct {
	Began time.Time `json:"began"`
	Mix   Mix       `json:"mix"`
	Seed  uint64    `json:"seed"`
	Sides []Side    `json:"sides"`
}

// Side is what came of one target.
type Side struct {
	Target string `json:"target"`
	// Spells are the measurements: one, or with a ramp one for each rate.
	Spells []Spell `json:"spells"`
	Knee   *Knee   `json:"knee,omitempty"`
}

// Spell is a measurement at one rate.
type Spell struct {
	Rate    float64   `json:"rate"` // of arrivals
	Seconds float64   `json:"seconds"`
	Visits  Count     `json:"visits"`
	Acts    []ActDone `json:"acts"`
	// LateMS is the p99 of how late this program itself was with arrivals: where it is much, it and not the server was measured.
	LateMS float64 `json:"generator_late_ms"`
	// Stopped says why it ended early.
	Stopped string `json:"stopped,omitempty"`
}

// ActDone is what came of one kind of act.
type ActDone struct {
	Act Act `json:"act"`
	// Calls is how many were made, Outcomes how many ended with which status, or "failed" without any; PerSecond counts those with a 2xx.
	Calls     int64            `json:"calls"`
	PerSecond float64          `json:"per_second"`
	Outcomes  map[string]int64 `json:"outcomes"`
	// Latency is that of all calls but those that were refused with 429 or 503; so is the curve.
	Latency Latency  `json:"latency_ms"`
	Curve   []Point  `json:"curve"`
	Over    []Moment `json:"over_time"`
}

// Point is a point of the curve of latencies.
type Point struct {
	Percentile float64 `json:"percentile"`
	MS         float64 `json:"ms"`
}

// Moment is a part of the time, by when the calls were due.
type Moment struct {
	Second float64 `json:"second"`
	Calls  int64   `json:"calls"`
	Bad    int64   `json:"bad"`
	P50    float64 `json:"p50"`
	P99    float64 `json:"p99"`
}

// Bad is how many calls did not get a 2xx.
func (a ActDone) Bad() (bad int64) {
	for outcome, n := range a.Outcomes {
		if !strings.HasPrefix(outcome, "2") {
			bad += n
		}
	}
	return bad
}

// Act returns what came of an act, if there was any.
func (s Spell) Act(a Act) (ActDone, bool) {
	for _, done := range s.Acts {
		if done.Act == a {
			return done, true
		}
	}
	return ActDone{}, false
}

// Calls are all, and how many of them went wrong.
func (s Spell) Calls() (all, bad int64) {
	for _, a := range s.Acts {
		all += a.Calls
		bad += a.Bad()
	}
	return all, bad
}

// curve is where the latencies are looked at.
var curve = []float64{0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 100}

func (t *tally) spell(rate float64) Spell {
	t.mu.Lock()
	defer t.mu.Unlock()
	seconds := t.length().Seconds()
	s := Spell{Rate: rate, Seconds: seconds, Visits: t.visits, LateMS: float64(t.delay.ValueAtPercentile(99)) / 1000, Stopped: t.why}
	for _, act := range Acts() {
		a := t.acts[act]
		if a == nil {
			continue
		}
		done := ActDone{Act: act, PerSecond: float64(a.good) / seconds, Outcomes: a.outcomes, Latency: latencyOf(a.latency)}
		for _, n := range a.outcomes {
			done.Calls += n
		}
		for _, p := range curve {
			// Where there are too few calls for a percentile, it is the greatest of all, and says nothing of its own.
			if done.Calls == 0 || p < 100 && float64(done.Calls)*(100-p)/100 < 1 {
				continue
			}
			done.Curve = append(done.Curve, Point{p, float64(a.latency.ValueAtPercentile(p)) / 1000})
		}
		for i, m := range a.moments {
			done.Over = append(done.Over, Moment{
				Second: float64(i) * t.step.Seconds(), Calls: m.calls, Bad: m.bad,
				P50: float64(m.latency.ValueAtPercentile(50)) / 1000, P99: float64(m.latency.ValueAtPercentile(99)) / 1000,
			})
		}
		s.Acts = append(s.Acts, done)
	}
	return s
}

// lateness is from where on this program's own delay makes the figures doubtful, in milliseconds.
const lateness = 20

// Doubt says what makes the figures doubtful, or nothing.
func (s Spell) Doubt() string {
	if s.LateMS < lateness {
		return ""
	}
	return fmt.Sprintf("This program was late itself: 1 in 100 arrivals by more than %.0f ms. Give it a machine of its own, or a lower rate.", s.LateMS)
}

// Print writes the result for people.
func (v Visits) Print(w io.Writer) error {
	for _, side := range v.Sides {
		fmt.Fprintf(w, "%s\n", side.Target)
		for _, s := range side.Spells {
			if err := s.print(w); err != nil {
				return err
			}
		}
		if side.Knee != nil {
			fmt.Fprintf(w, "%s\n", side.Knee)
		}
		fmt.Fprintln(w)
	}
	return v.compare(w)
}

func (s Spell) print(w io.Writer) error {
	fmt.Fprintf(w, "%.4g arrivals a second for %.0f s: %d visits, %d finished, %d broken off\n",
		s.Rate, s.Seconds, s.Visits.Begun, s.Visits.Finished, s.Visits.Broken)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tcalls\ta second\tp50 ms\tp90\tp99\tp99.9\tmax\t  outcomes\t")
	for _, a := range s.Acts {
		var outcomes []string
		for _, o := range slices.Sorted(maps.Keys(a.Outcomes)) {
			outcomes = append(outcomes, fmt.Sprintf("%s: %d", o, a.Outcomes[o]))
		}
		l := a.Latency
		fmt.Fprintf(t, "%s\t%d\t%.1f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t  %s\t\n",
			a.Act, a.Calls, a.PerSecond, l.P50, l.P90, l.P99, l.P999, l.Max, strings.Join(outcomes, ", "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, say := range []string{s.Stopped, s.Doubt()} {
		if say != "" {
			fmt.Fprintln(w, "! "+say)
		}
	}
	return nil
}

// compare writes the ratios of the second target to the first.
func (v Visits) compare(w io.Writer) error {
	rows := v.Ratios()
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintf(w, "%s : %s\n", v.Sides[0].Target, v.Sides[1].Target)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tp50\tp99\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t\n", r.Act, r.P50, r.P99)
	}
	return t.Flush()
}

// Ratio is the first target's latencies over the second's.
type Ratio struct {
	Act      Act
	P50, P99 float64
}

// Ratios compares two targets, each of which was measured at one rate.
func (v Visits) Ratios() (rows []Ratio) {
	if len(v.Sides) != 2 || len(v.Sides[0].Spells) != 1 || len(v.Sides[1].Spells) != 1 {
		return nil
	}
	for _, a := range v.Sides[0].Spells[0].Acts {
		b, ok := v.Sides[1].Spells[0].Act(a.Act)
		if !ok || b.Latency.P50 == 0 || b.Latency.P99 == 0 {
			continue
		}
		rows = append(rows, Ratio{a.Act, round(a.Latency.P50 / b.Latency.P50), round(a.Latency.P99 / b.Latency.P99)})
	}
	return rows
}

func round(v float64) float64 { return math.Round(v*1000) / 1000 }
