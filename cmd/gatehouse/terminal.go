package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"
)

// terminal is what a command talks to.
type terminal struct {
	in       *os.File
	out, err io.Writer
	envFile  string
	command  string    // such as gatehouse user create
	people   bool      // the log is for somebody who watches it: err is a terminal
	lines    io.Writer // takes the log's lines on their way to err; nil: they go there at once
}

// isTerminal reports whether a person sits at the other end.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// json prints one thing for programs, as indented JSON.
func (t *terminal) json(v any) error {
	e := json.NewEncoder(t.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// jsonLine prints a value as JSON on one line.
func (t *terminal) jsonLine(v any) error { return json.NewEncoder(t.out).Encode(v) }

// jsonLines prints a list for programs: one object a line, however many there are.
func jsonLines[T any](t *terminal, list []T) error {
	for _, one := range list {
		if err := t.jsonLine(one); err != nil {
			return err
		}
	}
	return nil
}

// table prints lines in columns; the first line is their heads. What is empty
// becomes a dash, so that programs that count words find every column.
func (t *terminal) table(lines [][]string) error {
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, l := range lines {
		for i := range l {
			if l[i] == "" {
				l[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(l, "\t"))
	}
	return w.Flush()
}

// day writes a time for people, or nothing for none.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// jsonTime writes a time for programs, or null for none.
func jsonTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
