package terminal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// writes notes each write that reaches the file.
type writes struct {
	each []string
	err  error
}

func (w *writes) Write(p []byte) (int, error) {
	w.each = append(w.each, string(p))
	return len(p), w.err
}

// quietLog is a logWriter whose clock and timer the test holds.
func quietLog(out *writes) (w *logWriter, at *time.Time, timers *[]func()) {
	now, waiting := time.Unix(1_800_000_000, 0), []func(){}
	w = newLogWriter(out)
	w.now = func() time.Time { return now }
	w.after = func(_ time.Duration, f func()) { waiting = append(waiting, f) }
	return w, &now, &waiting
}

func TestFewLinesAreWrittenAtOnceAndManyTogether(t *testing.T) {
	out := &writes{}
	w, now, timers := quietLog(out)
	fmt.Fprintln(w, "first")
	for i := range 100 {
		fmt.Fprintln(w, "more", i)
	}
	if len(out.each) != 1 || len(*timers) != 1 {
		t.Fatalf("%d writes and %d timers after a burst of 101 lines, want 1 and 1: %q", len(out.each), len(*timers), out.each)
	}
	*now = now.Add(logDelay)
	(*timers)[0]()
	if len(out.each) != 2 || strings.Count(out.each[1], "\n") != 100 {
		t.Fatalf("the rest came in %d writes: %q", len(out.each)-1, out.each[1:])
	}
	*now = now.Add(logDelay)
	if fmt.Fprintln(w, "later"); len(out.each) != 3 || out.each[2] != "later\n" {
		t.Errorf("a line after a pause: %q", out.each[2:])
	}
}

func TestLinesThatWaitHaveABound(t *testing.T) {
	out := &writes{}
	w, _, _ := quietLog(out)
	fmt.Fprintln(w, "first")
	line := strings.Repeat("x", 1023) + "\n"
	for range 2 * logMost / len(line) {
		fmt.Fprint(w, line)
	}
	if len(out.each) != 3 || len(w.lines) != 0 {
		t.Errorf("%d writes, %d bytes wait", len(out.each), len(w.lines))
	}
}

func TestAFullDiskIsAnErrorAndLinesGoOn(t *testing.T) {
	out := &writes{err: errors.New("no space left on device")}
	w, now, _ := quietLog(out)
	if _, err := fmt.Fprintln(w, "lost"); err == nil {
		t.Error("no error")
	}
	out.err = nil
	*now = now.Add(logDelay)
	if _, err := fmt.Fprintln(w, "kept"); err != nil || out.each[len(out.each)-1] != "kept\n" {
		t.Errorf("error %v, wrote %q", err, out.each)
	}
}

func TestNoLineIsLostOrTornWhenManyWrite(t *testing.T) {
	const writers, lines = 16, 500
	var (
		out bytes.Buffer
		all sync.WaitGroup
		w   = newLogWriter(&out)
	)
	for i := range writers {
		all.Go(func() {
			for n := range lines {
				fmt.Fprintf(w, "%d %d\n", i, n)
			}
		})
	}
	all.Wait()
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	next := [writers]int{}
	for line := range strings.Lines(out.String()) {
		var i, n int
		if _, err := fmt.Sscanf(line, "%d %d\n", &i, &n); err != nil || next[i] != n {
			t.Fatalf("line %q, want the %dth of its writer, error %v", line, next[i], err)
		}
		next[i]++
	}
	for i, n := range next {
		if n != lines {
			t.Errorf("writer %d: %d lines of %d", i, n, lines)
		}
	}
}
