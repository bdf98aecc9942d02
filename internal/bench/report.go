package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is the result of a run.
type Report struct {
	Target  string    `json:"target"`
	Began   time.Time `json:"began"`
	Streams []Stream  `json:"streams"`
}

// Stream is the result of one load.
type Stream struct {
	Scenario Scenario `json:"scenario"`
	// Loop is open or closed; Rate is that of an open one.
	Loop    string  `json:"loop"`
	Clients int     `json:"clients"`
	Rate    float64 `json:"rate,omitempty"`
	Seconds float64 `json:"seconds"`
	// Calls is how many were made, Outcomes how many of them ended with which
	// status, or "failed" without any. PerSecond counts those with a 2xx.
	Calls     int64            `json:"calls"`
	PerSecond float64          `json:"per_second"`
	Outcomes  map[string]int64 `json:"outcomes"`
	// Latency is that of all calls but those that were refused with 429 or 503.
	Latency Latency `json:"latency_ms"`
}

// Latency is in milliseconds.
type Latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// Lost is how many calls did not get a 2xx.
func (s Stream) Lost() int64 {
	lost := s.Calls
	for outcome, n := range s.Outcomes {
		if strings.HasPrefix(outcome, "2") {
			lost -= n
		}
	}
	return lost
}

func (l Load) stream(parts []*tallied, window span) Stream {
	sum := newTallied()
	for _, p := range parts {
		sum.latency.Merge(p.latency)
		sum.good += p.good
		for outcome, n := range p.outcomes {
			sum.outcomes[outcome] += n
		}
	}
	seconds := window.to.Sub(window.from).Seconds()
	s := Stream{
		Scenario: l.Scenario, Loop: "closed", Clients: l.Clients, Rate: l.Rate, Seconds: seconds,
		PerSecond: float64(sum.good) / seconds, Outcomes: sum.outcomes,
	}
	if l.Rate > 0 {
		s.Loop = "open"
	}
	for _, n := range sum.outcomes {
		s.Calls += n
	}
	s.Latency = latencyOf(sum.latency)
	return s
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	at := func(percentile float64) float64 { return float64(h.ValueAtPercentile(percentile)) / 1000 }
	return Latency{Mean: h.Mean() / 1000, P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / 1000}
}

// Print writes the report for people.
func (r Report) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "scenario\tloop\tclients\tcalls\ta second\tp50 ms\tp90\tp99\tp99.9\tmax\t  outcomes\t")
	for _, s := range r.Streams {
		loop := s.Loop
		if s.Rate > 0 {
			loop = fmt.Sprintf("open, %g/s", s.Rate)
		}
		var outcomes []string
		for _, o := range slices.Sorted(maps.Keys(s.Outcomes)) {
			outcomes = append(outcomes, fmt.Sprintf("%s: %d", o, s.Outcomes[o]))
		}
		l := s.Latency
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%.1f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t  %s\t\n", s.Scenario, loop, s.Clients, s.Calls,
			s.PerSecond, l.P50, l.P90, l.P99, l.P999, l.Max, strings.Join(outcomes, ", "))
	}
	return t.Flush()
}
