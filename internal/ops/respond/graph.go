package respond

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
)

// Graph is a scope as it is drawn: four columns, from where, who was tried, in which sessions, and what was done in them.
// Widths of lines are by the logarithm of their counts.
type Graph struct {
	Height int
	// About is the graph in a sentence, for who can't see it.
	About string
	Heads []Word
	Lines []Line
	Boxes []Box
}

// Word is a head of a column.
type Word struct {
	X    int
	Text string
}

// Line leads from one box to another; Bad is where the attack got through.
type Line struct {
	Path  string
	Width float64
	Bad   bool
}

// Box is a count.
type Box struct {
	X, Y       int
	Text, Less string
	Bad        bool
}

// Mid is where its lines begin and end.
func (b Box) Mid() int { return b.Y + boxHeight/2 }

// TextX and TextY are where its first line stands, and LessY its second.
func (b Box) TextX() int { return b.X + 12 }

// TextY is where its first line stands.
func (b Box) TextY() int { return b.Y + 20 }

// LessY is where its second line stands.
func (b Box) LessY() int { return b.Y + 36 }

const (
	boxWidth, boxHeight, boxStep = 168, 48, 88
	columnStep, firstY           = 272, 34
	mostSources                  = 6
)

func count(n int64, one, many string) string { return fmt.Sprintf("%d %s", n, plural(n, one, many)) }

// Graph draws a scope.
func (s Scope) Graph() Graph {
	vain, in, sessions, reused := s.Counts()
	g := Graph{Heads: []Word{{0, "From"}, {columnStep, "Tried"}, {2 * columnStep, "Sessions"}, {3 * columnStep, "Done in them"}}}
	tried := g.column(1, []Box{
		{Text: count(vain, "person", "people"), Less: "tried in vain"}, {Text: count(in, "person", "people"), Less: "somebody got in", Bad: in > 0},
	})
	had := g.column(2, []Box{
		{Text: count(s.Living, "session", "sessions"), Less: "of theirs, from elsewhere"},
		{Text: count(sessions, "session", "sessions"), Less: "begun or used by it", Bad: sessions > 0},
		{Text: count(reused, "token", "tokens"), Less: "refreshed twice: stolen", Bad: reused > 0},
	})
	var done []Box
	for _, k := range s.Kinds() {
		done = append(done, Box{Text: fmt.Sprintf("%d × %s", s.Done[k], strings.ReplaceAll(string(k), "_", " ")), Less: "done", Bad: true})
	}
	for _, given := range s.Given {
		done = append(done, Box{Text: fmt.Sprintf("%d × %s", given.Grants, given.Name), Less: "given to an application", Bad: true})
	}
	if len(done) == 0 {
		done = []Box{{Text: "nothing", Less: "that the log knows"}}
	}
	done = g.column(3, done[:min(len(done), mostSources)])
	for i, b := range g.column(0, s.sources()) {
		if i < len(s.Sources) {
			g.line(b, tried[0], s.Sources[i].Tries, false)
			g.line(b, tried[1], s.Sources[i].Ins, true)
		}
	}
	g.line(tried[1], had[0], s.Living, false)
	g.line(tried[1], had[1], sessions, true)
	g.line(tried[1], had[2], reused, true)
	for i := range done {
		switch kinds := s.Kinds(); {
		case i < len(kinds):
			g.line(had[1], done[i], s.Done[kinds[i]], true)
		case i-len(kinds) < len(s.Given):
			g.line(had[1], done[i], s.Given[i-len(kinds)].Grants, true)
		}
	}
	g.About = fmt.Sprintf("%s tried %s in vain. Somebody got in to %s, in %s.", count(int64(len(s.Sources)), "network", "networks"),
		count(vain, "person", "people"), count(in, "account", "accounts"), count(sessions, "session", "sessions"))
	return g
}

func (s Scope) sources() (list []Box) {
	for i, from := range s.Sources {
		if i == mostSources {
			break
		}
		list = append(list, Box{Text: from.Network, Less: count(from.Addresses, "address", "addresses")})
	}
	return list
}

// column puts boxes into a column.
func (g *Graph) column(at int, list []Box) []Box {
	for i := range list {
		list[i].X, list[i].Y = at*columnStep, firstY+i*boxStep
		g.Height = max(g.Height, list[i].Y+boxHeight+6)
	}
	g.Boxes = append(g.Boxes, list...)
	return list
}

func (g *Graph) line(from, to Box, n int64, bad bool) {
	if n <= 0 {
		return
	}
	x, end := from.X+boxWidth, to.X
	mid := (x + end) / 2
	g.Lines = append(g.Lines, Line{
		Path:  fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x, from.Mid(), mid, from.Mid(), mid, to.Mid(), end, to.Mid()),
		Width: math.Round(10*(1.5+2*math.Log10(float64(n)))) / 10, Bad: bad,
	})
}

// svg is a graph as a file of its own, in the colours of the console's light side.
var svg = template.Must(template.New("svg").Parse(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="-1 0 986 {{.Height}}" role="img" ` +
	`font-family="system-ui, sans-serif" font-size="13"><title>Who was touched</title><desc>{{.About}}</desc>
{{range .Heads}}<text x="{{.X}}" y="14" fill="#656964">{{.Text}}</text>
{{end}}{{range .Lines}}<path d="{{.Path}}" fill="none" stroke="{{if .Bad}}#af2c22{{else}}#c9c9c3{{end}}" stroke-opacity="0.6" stroke-width="{{.Width}}"/>
{{end}}{{range .Boxes}}<rect x="{{.X}}" y="{{.Y}}" width="168" height="48" rx="6" fill="#fff" stroke="{{if .Bad}}#af2c22{{else}}#7f817b{{end}}"/>` +
	`<text x="{{.TextX}}" y="{{.TextY}}" fill="#1a1d19">{{.Text}}</text><text x="{{.TextX}}" y="{{.LessY}}" fill="#656964" font-size="12">{{.Less}}</text>
{{end}}</svg>
`))

// WriteSVG writes a graph as a file.
func (g Graph) WriteSVG(w io.Writer) error { return svg.Execute(w, g) }
