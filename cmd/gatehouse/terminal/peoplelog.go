package terminal

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// peopleLog writes the log for a developer who watches a server in a terminal:
// a short line each. Programs get JSON.
type peopleLog struct {
	mu     *sync.Mutex
	out    io.Writer
	level  slog.Level
	colour bool
	attrs  []slog.Attr
}

// forPeople reports whether the log goes to a terminal, and in no production.
func (t *Terminal) forPeople(production bool) bool { return !production && IsTerminal(t.Err) }

func newPeopleLog(out io.Writer, level slog.Level) *peopleLog {
	// https://no-color.org: whatever its value, if it is not empty.
	return &peopleLog{mu: &sync.Mutex{}, out: out, level: level, colour: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Enabled implements slog.Handler.
func (p *peopleLog) Enabled(_ context.Context, level slog.Level) bool { return level >= p.level }

// WithAttrs implements slog.Handler.
func (p *peopleLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := *p
	out.attrs = append(p.attrs[:len(p.attrs):len(p.attrs)], attrs...)
	return &out
}

// WithGroup implements slog.Handler. Nothing here is grouped.
func (p *peopleLog) WithGroup(string) slog.Handler { return p }

// hidden are attributes that a person has no use for on a short line.
var hidden = map[string]bool{
	"bytes": true, "request_id": true, "client_request_id": true, "trace_id": true, "event_id": true, "user_agent": true,
	"session": true, "checkpoint": true, "client": true,
}

// Handle implements slog.Handler.
func (p *peopleLog) Handle(_ context.Context, r slog.Record) error {
	fields := map[string]slog.Value{}
	var order []string
	add := func(a slog.Attr) bool {
		fields[a.Key] = a.Value
		order = append(order, a.Key)
		return true
	}
	for _, a := range p.attrs {
		add(a)
	}
	r.Attrs(add)
	if _, sealed := fields["checkpoint"]; sealed {
		return nil // one a minute, which says nothing to a person
	}
	line := p.mark(r) + " "
	switch {
	case r.Message == "request":
		line += fmt.Sprintf("%-4s %s %s %s", text(fields["method"]), text(fields["route"]), p.status(fields["status"]), took(fields["duration_us"]))
		take(fields, "method", "route", "status", "duration_us")
	case r.Message == "security event":
		line += fmt.Sprintf("event %s (%s)", text(fields["event"]), text(fields["outcome"]))
		take(fields, "event", "outcome", "detail", "address")
	default:
		line += text(slog.StringValue(r.Message))
	}
	for _, key := range order {
		if v, ok := fields[key]; ok && !hidden[key] {
			line += " " + p.paint(dim, key+"="+text(v))
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := fmt.Fprintf(p.out, "%s %s\n", p.paint(dim, r.Time.Format(time.TimeOnly)), line)
	return err
}

// The colours, as ANSI writes them.
const (
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (p *peopleLog) paint(colour, s string) string {
	if !p.colour {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

// mark is the level, where it says something.
func (p *peopleLog) mark(r slog.Record) string {
	switch {
	case r.Level >= slog.LevelError:
		return p.paint(red, "ERROR")
	case r.Level >= slog.LevelWarn:
		return p.paint(yellow, "WARN ")
	case r.Level < slog.LevelInfo:
		return p.paint(dim, "debug")
	}
	return "     "
}

func (p *peopleLog) status(v slog.Value) string {
	s := text(v)
	switch {
	case strings.HasPrefix(s, "5"):
		return p.paint(red, s)
	case strings.HasPrefix(s, "4"):
		return p.paint(yellow, s)
	}
	return p.paint(green, s)
}

func take(fields map[string]slog.Value, names ...string) {
	for _, name := range names {
		delete(fields, name)
	}
}

func took(v slog.Value) string {
	if v.Kind() != slog.KindInt64 {
		return ""
	}
	return (time.Duration(v.Int64()) * time.Microsecond).Round(100 * time.Microsecond).String()
}

// text is a value on one line, that moves no cursor.
func text(v slog.Value) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, v.String())
}
