package terminal

import (
	"fmt"
	"strings"
	"time"
)

// Progress shows how far something is, if a person watches.
type Progress struct {
	t     *Terminal
	shown time.Time
	width int
}

// NewProgress returns one that shows nothing unless Err is a terminal and quiet is not set.
func (t *Terminal) NewProgress(quiet bool) *Progress {
	if quiet || !IsTerminal(t.Err) {
		return &Progress{}
	}
	return &Progress{t: t}
}

// barWidth is how many characters the bar has.
const barWidth = 30

// Show draws the bar, ten times a second at most. Done and of are bytes; an of of zero is
// not known.
func (p *Progress) Show(step string, done, of int64) {
	line := fmt.Sprintf("%d MiB", done>>20)
	if of > 0 {
		line = fmt.Sprintf("%d of %d MiB", done>>20, of>>20)
	}
	p.draw(step, line, done, of)
}

// Rows is Show for rows.
func (p *Progress) Rows(step string, done, of int64) {
	line := ""
	if of > 0 {
		line = fmt.Sprintf("%d of %d", done, of)
	}
	p.draw(step, line, done, of)
}

func (p *Progress) draw(step, far string, done, of int64) {
	if p.t == nil || time.Since(p.shown) < 100*time.Millisecond && done != of {
		return
	}
	p.shown = time.Now()
	line := step
	if far != "" {
		line += ": " + far
	}
	if of > 0 {
		full := int(barWidth * min(done, of) / of)
		line = fmt.Sprintf("[%s%s] %3d%%  %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*min(done, of)/of, line)
	}
	fmt.Fprintf(p.t.Err, "\r%-*s", p.width, line)
	p.width = len(line)
}

// End takes the bar away.
func (p *Progress) End() {
	if p.t != nil && p.width > 0 {
		fmt.Fprintf(p.t.Err, "\r%*s\r", p.width, "")
	}
}

// Bytes writes a size for people.
func Bytes(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
