package bench

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// plot is a chart, drawn here and not by script.
type plot struct {
	Title, Says string // Says is what it shows, in a sentence
	X, Y        axis
	Lines       []plotLine
	// Bound is a height that must not be passed, or 0.
	Bound float64
}

// plotLine is a line of a plot. Which of two targets it is of, its class says.
type plotLine struct {
	Name, Class string
	Points      [][2]float64
}

// axis goes from Low to High.
type axis struct {
	Name      string
	Low, High float64
	Log       bool
	Ticks     []tick
}

type tick struct {
	At    float64
	Label string
}

// The picture, and what is left free at its edges for the labels.
const (
	plotWidth, plotHeight           = 560, 220
	plotLeft, plotBottom            = 52, 24
	plotRight, plotTop              = 10, 8
	mostTicks                       = 6
	leastMS                         = 0.01 // of a logarithmic axis
	plotInnerWidth, plotInnerHeight = plotWidth - plotLeft - plotRight, plotHeight - plotBottom - plotTop
)

// part is how far along the axis a value lies, from 0 to 1.
func (a axis) part(v float64) float64 {
	low, high := a.Low, a.High
	if a.Log {
		low, high, v = math.Log10(low), math.Log10(high), math.Log10(max(v, a.Low))
	}
	if high <= low {
		return 0
	}
	return min(max((v-low)/(high-low), 0), 1)
}

func (p plot) x(v float64) string { return short(plotLeft + p.X.part(v)*plotInnerWidth) }
func (p plot) y(v float64) string { return short(plotTop + (1-p.Y.part(v))*plotInnerHeight) }

func short(v float64) string { return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0") }

// Path is a line as SVG draws it.
func (p plot) Path(l plotLine) string {
	var b strings.Builder
	for i, at := range l.Points {
		if i == 0 {
			b.WriteString("M")
		} else {
			b.WriteString(" ")
		}
		b.WriteString(p.x(at[0]) + " " + p.y(at[1]))
	}
	if len(l.Points) == 1 {
		b.WriteString("h0")
	}
	return b.String()
}

// Edge is the line of the bound, or nothing.
func (p plot) Edge() string {
	if p.Bound == 0 {
		return ""
	}
	return fmt.Sprintf("M%d %sH%d", plotLeft, p.y(p.Bound), plotWidth-plotRight)
}

// mark is a label at an axis, and the line that goes from it across the plot.
type mark struct{ Label, X, Y, Path string }

// Below are the labels of the x axis.
func (p plot) Below() (list []mark) {
	for _, t := range p.X.Ticks {
		list = append(list, mark{t.Label, p.x(t.At), strconv.Itoa(plotHeight - 7), fmt.Sprintf("M%s %dV%d", p.x(t.At), plotTop, plotHeight-plotBottom)})
	}
	return list
}

// Beside are the labels of the y axis.
func (p plot) Beside() (list []mark) {
	for _, t := range p.Y.Ticks {
		list = append(list, mark{t.Label, strconv.Itoa(plotLeft - 6), p.y(t.At), fmt.Sprintf("M%d %sH%d", plotLeft, p.y(t.At), plotWidth-plotRight)})
	}
	return list
}

// milliseconds is a logarithmic axis around the values of all lines.
func milliseconds(lines []plotLine, bound float64) axis {
	low, high := math.Inf(1), max(bound, leastMS)
	for _, l := range lines {
		for _, p := range l.Points {
			if p[1] > 0 {
				low, high = min(low, p[1]), max(high, p[1])
			}
		}
	}
	if math.IsInf(low, 1) {
		low = leastMS
	}
	a := axis{Name: "ms", Log: true, Low: math.Pow(10, math.Floor(math.Log10(max(low, leastMS)))), High: math.Pow(10, math.Ceil(math.Log10(high)))}
	if a.High <= a.Low {
		a.High = a.Low * 10
	}
	for v := a.Low; v <= a.High*1.001; v *= 10 {
		a.Ticks = append(a.Ticks, tick{v, milli(v)})
	}
	return a
}

func milli(ms float64) string {
	if ms >= 1000 {
		return strconv.FormatFloat(ms/1000, 'g', 3, 64) + " s"
	}
	return strconv.FormatFloat(ms, 'g', 3, 64) + " ms"
}

// counting is an axis from 0 on, with round ticks.
func counting(name string, high float64) axis {
	high = max(high, 1)
	step := math.Pow(10, math.Floor(math.Log10(high/mostTicks)))
	for _, f := range []float64{1, 2, 5, 10} {
		if high/(step*f) <= mostTicks {
			step *= f
			break
		}
	}
	a := axis{Name: name, High: math.Ceil(high/step) * step}
	for v := 0.0; v <= a.High+step/2; v += step {
		a.Ticks = append(a.Ticks, tick{v, strconv.FormatFloat(v, 'g', 4, 64)})
	}
	return a
}

// percentiles is the axis on which each nine is as wide as the one before.
func percentiles() axis {
	a := axis{Name: "percentile", Log: true, Low: 1, High: 100_000}
	for _, p := range []float64{0, 90, 99, 99.9, 99.99} {
		a.Ticks = append(a.Ticks, tick{nines(p, 0), strconv.FormatFloat(p, 'g', 5, 64) + "%"})
	}
	return a
}

// nines puts a percentile on that axis; the greatest of so many calls stands where they end.
func nines(percentile float64, calls int64) float64 {
	if percentile >= 100 {
		return float64(calls)
	}
	return 100 / (100 - percentile)
}

// about writes a duration for a caption.
func about(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}
