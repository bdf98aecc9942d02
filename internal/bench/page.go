package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// sideClass is the class of each target's lines.
var sideClass = []string{"a", "b"}

// HTML writes the result as a page that needs nothing else: no script, and nothing from elsewhere.
func (v Visits) HTML(w io.Writer) error {
	return page.Execute(w, map[string]any{
		"V": v, "Style": template.CSS(ui.Tokens()), //nolint:gosec // our own file
		"Acts": v.plots(), "Load": v.load(), "Knees": v.knees(), "Length": about(v.Mix.Length().Seconds()),
	})
}

// shown is the measurement that is drawn in full: with a ramp, that of the highest rate that was carried.
func (s Side) shown() (Spell, bool) {
	if len(s.Spells) == 0 {
		return Spell{}, false
	}
	if s.Knee != nil {
		for _, one := range s.Spells {
			if one.Rate == s.Knee.Carried {
				return one, true
			}
		}
	}
	return s.Spells[len(s.Spells)-1], true
}

// actPlots are the plots of one act.
type actPlots struct {
	Act   Act
	Plots []plot
}

// plots draws each act's latencies: over the percentiles, and over time.
func (v Visits) plots() (out []actPlots) {
	for _, act := range Acts() {
		var byShare, overTime []plotLine
		var seconds float64
		for i, side := range v.Sides {
			spell, ok := side.shown()
			done, had := spell.Act(act)
			if !ok || !had {
				continue
			}
			share := plotLine{Name: side.Target, Class: sideClass[i]}
			for _, p := range done.Curve {
				share.Points = append(share.Points, [2]float64{nines(p.Percentile, done.Calls), p.MS})
			}
			time := plotLine{Name: side.Target, Class: sideClass[i]}
			for _, m := range done.Over {
				if m.Calls > m.Bad {
					time.Points = append(time.Points, [2]float64{m.Second, m.P99})
				}
				seconds = max(seconds, m.Second)
			}
			byShare, overTime = append(byShare, share), append(overTime, time)
		}
		if len(byShare) == 0 {
			continue
		}
		out = append(out, actPlots{act, []plot{
			{
				Title: "Latency by percentile", Says: fmt.Sprintf("How long %s took, from the quickest call to the slowest.", act),
				X: percentiles(), Y: milliseconds(byShare, 0), Lines: byShare,
			},
			{
				Title: "p99 over time", Says: fmt.Sprintf("What the slowest of a hundred calls of %s took, by when they were due.", act),
				X: counting("seconds", seconds), Y: milliseconds(overTime, 0), Lines: overTime,
			},
		}})
	}
	return out
}

// load draws how many calls were made in each second, and how many went wrong.
func (v Visits) load() plot {
	p := plot{Title: "Calls a second over time", Says: "How many calls were due in each second, and below how many went wrong."}
	var seconds, most float64
	for i, side := range v.Sides {
		spell, ok := side.shown()
		if !ok {
			continue
		}
		calls, bad := perSecond(spell)
		for _, at := range calls {
			seconds, most = max(seconds, at[0]), max(most, at[1])
		}
		p.Lines = append(p.Lines, plotLine{side.Target, sideClass[i], calls}, plotLine{side.Target + ", went wrong", sideClass[i] + " bad", bad})
	}
	p.X, p.Y = counting("seconds", seconds), counting("a second", most)
	return p
}

func perSecond(s Spell) (calls, bad [][2]float64) {
	var longest []Moment
	for _, a := range s.Acts {
		if len(a.Over) > len(longest) {
			longest = a.Over
		}
	}
	step := 1.0
	if len(longest) > 1 {
		step = longest[1].Second
	}
	for i, m := range longest {
		var n, wrong int64
		for _, a := range s.Acts {
			if i < len(a.Over) {
				n, wrong = n+a.Over[i].Calls, wrong+a.Over[i].Bad
			}
		}
		calls = append(calls, [2]float64{m.Second, float64(n) / step})
		bad = append(bad, [2]float64{m.Second, float64(wrong) / step})
	}
	return calls, bad
}

// knees draws, for a ramp, what each act took at each rate.
func (v Visits) knees() (out []plot) {
	for _, act := range Acts() {
		var lines []plotLine
		var most, bound float64
		for i, side := range v.Sides {
			if side.Knee == nil {
				return nil
			}
			bound = side.Knee.BoundMS
			l := plotLine{Name: side.Target, Class: sideClass[i]}
			for _, s := range side.byRate() {
				if done, ok := s.Act(act); ok {
					l.Points = append(l.Points, [2]float64{s.Rate, done.Latency.P99})
				}
				most = max(most, s.Rate)
			}
			lines = append(lines, l)
		}
		if len(lines[0].Points) > 0 {
			out = append(out, plot{
				Title: "p99 of " + string(act) + " by arrivals a second", Says: "What the slowest of a hundred calls took at each rate, and what it was allowed.",
				X: counting("arrivals a second", most), Y: milliseconds(lines, bound), Lines: lines, Bound: bound,
			})
		}
	}
	return out
}
