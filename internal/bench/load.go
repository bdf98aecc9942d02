package bench

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// tallied is what one client saw.
type tallied struct {
	latency  *hdrhistogram.Histogram // microseconds
	outcomes map[string]int64
	good     int64
}

func newTallied() *tallied {
	return &tallied{latency: hdrhistogram.New(1, (2 * time.Hour).Microseconds(), 3), outcomes: map[string]int64{}}
}

// record counts a call. Refusals of a server that has too much to do are
// counted and have no latency: they are quick, and would flatter the rest.
func (t *tallied) record(a answer, err error, took time.Duration) {
	outcome := "failed"
	if err == nil {
		outcome = strconv.Itoa(a.status)
	}
	t.outcomes[outcome]++
	if err == nil && a.status/100 == 2 {
		t.good++
	}
	if err == nil && (a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests) {
		return
	}
	_ = t.latency.RecordValue(max(took.Microseconds(), 1)) // it fits: a call ends by its timeout
}

// run has the clients call until the time is over.
func (l Load) run(ctx context.Context, clients []*client, began time.Time, window span) Stream {
	loop := l.closed
	if l.Rate > 0 {
		due := &schedule{began: began, step: time.Duration(float64(time.Second) / l.Rate)}
		loop = func(ctx context.Context, c *client, w span) *tallied { return l.open(ctx, c, w, due) }
	}
	parts := make([]*tallied, len(clients))
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() { parts[i] = loop(ctx, c, window) })
	}
	wg.Wait()
	return l.stream(parts, window)
}

// closed is a client that calls again when it has its answer. A call counts if
// it ends in the window.
func (l Load) closed(ctx context.Context, c *client, w span) *tallied {
	t := newTallied()
	for ctx.Err() == nil {
		if err := c.prepare(); err != nil {
			t.record(answer{}, err, 0)
		}
		start := time.Now()
		if !start.Before(w.to) {
			break
		}
		a, err := c.call()
		end := time.Now()
		if w.holds(end) {
			t.record(a, err, end.Sub(start))
		}
		l.rest(ctx, a, err)
	}
	return t
}

// schedule gives out the times at which the calls of an open loop are due.
type schedule struct {
	began time.Time
	step  time.Duration
	next  atomic.Int64
}

func (s *schedule) take() time.Time { return s.began.Add(time.Duration(s.next.Add(1)-1) * s.step) }

// open is a client that takes the next due time, waits for it if it is early,
// and makes the call. If all clients are late, so is the call, and its latency
// has the delay in it. A call counts if it was due in the window.
func (l Load) open(ctx context.Context, c *client, w span, s *schedule) *tallied {
	t := newTallied()
	for ctx.Err() == nil {
		due := s.take()
		if !due.Before(w.to) {
			break
		}
		if err := c.prepare(); err != nil {
			t.record(answer{}, err, 0)
		}
		wait(ctx, time.Until(due))
		a, err := c.call()
		if w.holds(due) {
			t.record(a, err, time.Since(due))
		}
		l.rest(ctx, a, err)
	}
	return t
}

// rest keeps a client that can't connect from spinning, and a patient one that
// was turned away from asking too early.
func (l Load) rest(ctx context.Context, a answer, err error) {
	switch {
	case err != nil:
		wait(ctx, 10*time.Millisecond)
	case l.Patient:
		wait(ctx, a.retryAfter)
	}
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
