package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// tally is what a crowd saw at a target.
type tally struct {
	window     span
	mostErrors float64
	end        context.CancelCauseFunc

	mu     sync.Mutex
	step   time.Duration // of the moments
	acts   map[Act]*acted
	visits Count
	delay  *hdrhistogram.Histogram // of arrivals, by this program's own fault; microseconds
	recent []bool                  // of the last calls: whether each went wrong
	turn   int
	why    string // it was stopped
}

// Count is how the visits ended.
type Count struct {
	// Begun is how many arrived; Finished did all that they had come for before the end, Broken ended with a
	// call that failed. The rest were still there at the end.
	Begun    int64 `json:"begun"`
	Finished int64 `json:"finished"`
	Broken   int64 `json:"broken"`
}

// acted is what came of one kind of act.
type acted struct {
	*tallied
	moments []moment
}

// moment is a part of the time that was measured.
type moment struct {
	calls, bad int64
	latency    *hdrhistogram.Histogram
}

const (
	// mostMoments is how many parts the time of a measurement has, at most.
	mostMoments = 120
	// recentCalls is how many of the last calls decide whether a run is stopped.
	recentCalls = 100
)

func newTally(window span, mostErrors float64, end context.CancelCauseFunc) *tally {
	length := window.to.Sub(window.from)
	return &tally{
		window: window, mostErrors: mostErrors, end: end, acts: map[Act]*acted{}, step: max(time.Second, length/mostMoments),
		delay: hdrhistogram.New(1, time.Hour.Microseconds(), 2),
	}
}

func (t *tally) act(a Act) *acted {
	if t.acts[a] == nil {
		t.acts[a] = &acted{tallied: newTallied()}
	}
	return t.acts[a]
}

// record counts a call that was due at a time, if that is in the window, and stops the run if too many go wrong.
func (t *tally) record(act Act, a answer, err error, due time.Time) {
	took := time.Since(due)
	t.mu.Lock()
	defer t.mu.Unlock()
	bad := err != nil || a.status/100 != 2
	t.judge(bad, a, err)
	if !t.window.holds(due) {
		return
	}
	acted := t.act(act)
	acted.record(a, err, took)
	n := int(due.Sub(t.window.from) / t.step)
	for len(acted.moments) <= n {
		acted.moments = append(acted.moments, moment{latency: hdrhistogram.New(1, time.Minute.Microseconds(), 2)})
	}
	m := &acted.moments[n]
	m.calls++
	if bad {
		m.bad++
	}
	_ = m.latency.RecordValue(min(max(took.Microseconds(), 1), time.Minute.Microseconds())) // within its bounds
}

// judge stops the run if too many of the last calls went wrong.
func (t *tally) judge(bad bool, a answer, err error) {
	if len(t.recent) < recentCalls {
		t.recent = append(t.recent, bad)
	} else {
		t.recent[t.turn%recentCalls] = bad
	}
	t.turn++
	wrong := 0
	for _, b := range t.recent {
		if b {
			wrong++
		}
	}
	if !bad || t.why != "" || len(t.recent) < recentCalls || float64(wrong) <= t.mostErrors*recentCalls {
		return
	}
	last := strconv.Itoa(a.status)
	if err != nil {
		last = err.Error()
	}
	t.why = fmt.Sprintf("%d of the last %d calls went wrong, the last with: %s", wrong, recentCalls, last)
	if a.status == 429 {
		t.why += " (raise the server's rate limits for the time of the run)"
	}
	t.end(errors.New(t.why))
}

func (t *tally) broke(due time.Time)    { t.ended(due, &t.visits.Broken) }
func (t *tally) finished(due time.Time) { t.ended(due, &t.visits.Finished) }

func (t *tally) ended(at time.Time, n *int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.window.holds(at) {
		*n++
	}
}

// late notes by how much this program itself was late with an arrival.
func (t *tally) late(due time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.window.holds(due) {
		t.visits.Begun++
		_ = t.delay.RecordValue(max(time.Since(due).Microseconds(), 1)) // it fits: within the hour
	}
}

// stop says why the run ended early, unless that is said already.
func (t *tally) stop(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.why == "" {
		t.why = why
	}
}

func (t *tally) stopped() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.why
}

// add puts another turn at the same target behind this one.
func (t *tally) add(o *tally) {
	for act, theirs := range o.acts {
		ours := t.act(act)
		ours.latency.Merge(theirs.latency)
		ours.good += theirs.good
		for outcome, n := range theirs.outcomes {
			ours.outcomes[outcome] += n
		}
	}
	// Each turn's moments begin where the last one's ended, whichever act was the last there.
	n := int(t.length() / t.step)
	for act, theirs := range o.acts {
		ours := t.act(act)
		for len(ours.moments) < n {
			ours.moments = append(ours.moments, moment{latency: hdrhistogram.New(1, time.Minute.Microseconds(), 2)})
		}
		ours.moments = append(ours.moments[:n:n], theirs.moments...)
	}
	t.window.to = t.window.to.Add(o.length())
	t.delay.Merge(o.delay)
	t.visits.Begun += o.visits.Begun
	t.visits.Finished += o.visits.Finished
	t.visits.Broken += o.visits.Broken
	if t.why == "" {
		t.why = o.why
	}
}

func (t *tally) length() time.Duration { return t.window.to.Sub(t.window.from) }
