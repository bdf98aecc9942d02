package terminal

import (
	"io"
	"sync"
	"time"
)

// logWriter writes a server's log: each line at once while there are few, and
// together while there are many, for then every line would cost a system call. No
// line waits longer than logDelay; what a security event says is in the database
// before its line is here.
type logWriter struct {
	out io.Writer
	now func() time.Time
	// after runs a function once the delay is over: time.AfterFunc.
	after func(time.Duration, func())

	mu    sync.Mutex
	lines []byte    // that wait
	last  time.Time // when something was written
	due   bool      // whether the lines that wait will be written
	err   error     // of the last write
}

// logDelay is how long a line waits for others at the most, and logMost how many
// bytes wait.
const (
	logDelay = time.Millisecond
	logMost  = 64 << 10
)

// BufferLog makes the lines of the log wait for one another, up to a millisecond, as
// those of a server do. The function that it returns writes the ones that still wait; a
// log that can't be written has nowhere to say so.
func (t *Terminal) BufferLog() (flush func()) {
	w := newLogWriter(t.Err)
	t.lines = w
	return func() { _ = w.Flush() }
}

func newLogWriter(out io.Writer) *logWriter {
	return &logWriter{out: out, now: time.Now, after: func(d time.Duration, f func()) { time.AfterFunc(d, f) }}
}

// Write takes a line. The error is that of the last write that was made: a caller that
// logs can do nothing about it.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line...)
	switch {
	case !w.due && w.now().Sub(w.last) >= logDelay, len(w.lines) >= logMost:
		w.flush()
	case !w.due:
		w.due = true
		w.after(logDelay, func() { _ = w.Flush() })
	}
	return len(line), w.err
}

// Flush writes what waits.
func (w *logWriter) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due = false
	w.flush()
	return w.err
}

func (w *logWriter) flush() {
	if len(w.lines) == 0 {
		return
	}
	_, w.err = w.out.Write(w.lines)
	w.lines, w.last = w.lines[:0], w.now()
}
