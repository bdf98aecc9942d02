package harness

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// pace measures, for as long as a test runs, how long the machine takes over one known
// piece of work: a new connection to the tests' own PostgreSQL, which nobody disturbs.
// What a server may take is judged by that, since a machine that is shared with fifteen
// other tests and a compiler may stand still for seconds.
type pace struct {
	mu    sync.Mutex
	began time.Time // of the piece under way
	done  []piece
}

type piece struct {
	ended time.Time
	took  time.Duration
}

// newPace measures until the test ends.
func newPace(t testing.TB) *pace {
	p := &pace{began: time.Now()}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	t.Cleanup(func() { cancel(); <-ended })
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			p.begin()
			err := dbtest.Connect(ctx)
			p.end(err == nil)
			select {
			case <-ctx.Done():
			case <-time.After(250 * time.Millisecond):
			}
		}
	}()
	return p
}

func (p *pace) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began = time.Now()
}

func (p *pace) end(well bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if well {
		p.done = append(p.done, piece{now, now.Sub(p.began)})
	}
	p.began = now
}

// worst is the longest that a piece took, of those that ended since then or are under way.
func (p *pace) worst(since time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	worst := time.Since(p.began) - time.Second // it waits between two
	for i := len(p.done) - 1; i >= 0 && p.done[i].ended.After(since); i-- {
		worst = max(worst, p.done[i].took)
	}
	return worst
}
