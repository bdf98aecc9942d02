// Package terminal is what the commands of the command line share: the streams
// they read and write, how they read settings and open the database, how they print
// tables, JSON and the log, and which exit code an error has.
package terminal

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

// Terminal is what a command talks to.
type Terminal struct {
	In       *os.File
	Out, Err io.Writer
	EnvFile  string // where settings are read from, besides the environment; "": .env, if there is one
	Command  string // such as gatehouse user create
	Version  string // this program's

	people bool      // the log is for a person: Err is a terminal
	lines  io.Writer // takes the log's lines on their way to Err; nil: they go there at once
}

// IsTerminal reports whether a person sits at the other end.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// JSON prints one thing for programs, as indented JSON.
func (t *Terminal) JSON(v any) error {
	e := json.NewEncoder(t.Out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// JSONLine prints a value as JSON on one line.
func (t *Terminal) JSONLine(v any) error { return json.NewEncoder(t.Out).Encode(v) }

// JSONLines prints a list for programs: one object a line, however many there are.
func JSONLines[T any](t *Terminal, list []T) error {
	for _, one := range list {
		if err := t.JSONLine(one); err != nil {
			return err
		}
	}
	return nil
}

// Table prints lines in columns; the first line is their heads. What is empty
// becomes a dash, so that programs that count words find every column.
func (t *Terminal) Table(lines [][]string) error {
	w := tabwriter.NewWriter(t.Out, 0, 0, 2, ' ', 0)
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

// Time writes a time for people, or nothing for none.
func Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// JSONTime writes a time for programs, or null for none.
func JSONTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Count writes a number with its noun, which has several by an s.
func Count(n int, noun string) string { return Plural(int64(n), noun, noun+"s") }

// Plural writes a number with the word for one, or for several.
func Plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
