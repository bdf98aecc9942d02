package ui

import (
	"math"
	"strconv"
	"strings"
)

// Chart is a line over time: 24 to 48 points, drawn here and not by script. Counts begin at zero and have an
// area; a level (living sessions) is a line without one, and begins just under its least.
type Chart struct {
	Title, Figure string
	// Change is against last week; Hot is for what a rule calls bad.
	Change string
	Hot    bool
	Level  bool
	// Now and Before are the same hours of this week and the last. Before may be empty.
	Now, Before []float64
	// Bound is where an alert fires; 0 for nowhere.
	Bound float64
	// Label says it in a sentence; From, Middle and To stand below.
	Label, From, Middle, To string
}

// The size of a chart, and how much of its height stays free.
const (
	chartWidth  = 320
	chartHeight = 64
	chartRoom   = 0.92
)

// scale returns the least and the greatest of what is drawn.
func (c Chart) scale() (low, high float64) {
	low, high = math.Inf(1), max(c.Bound, 1)
	for _, v := range append(append([]float64{}, c.Now...), c.Before...) {
		low, high = min(low, v), max(high, v)
	}
	if !c.Level || math.IsInf(low, 1) {
		return 0, high
	}
	return max(0, low-(high-low)*.15), high
}

func (c Chart) y(v float64) string {
	low, high := c.scale()
	if high <= low {
		high = low + 1
	}
	return short(chartHeight - .5 - (v-low)/(high-low)*(chartHeight-.5)*chartRoom)
}

func (c Chart) line(points []float64) string {
	if len(points) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("M")
	for i, v := range points {
		if i > 0 {
			b.WriteString(" ")
		}
		b.WriteString(short(float64(i)*chartWidth/float64(max(1, len(points)-1))) + " " + c.y(v))
	}
	return b.String()
}

// Line, Was, Area, Edge and End are the paths: of now, of last week, of the area, of the bound and of the
// last point.
func (c Chart) Line() string { return c.line(c.Now) }

// Was is last week's line.
func (c Chart) Was() string { return c.line(c.Before) }

// Area is what lies under the line, or nothing for a level.
func (c Chart) Area() string {
	if c.Level || len(c.Now) == 0 {
		return ""
	}
	return c.Line() + "V64H0z"
}

// Edge is the line of the bound.
func (c Chart) Edge() string {
	if c.Bound == 0 {
		return ""
	}
	return "M0 " + c.y(c.Bound) + "H320"
}

// End is the last point.
func (c Chart) End() string {
	if len(c.Now) == 0 {
		return ""
	}
	return "M320 " + c.y(c.Now[len(c.Now)-1]) + "h0"
}

func short(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}
