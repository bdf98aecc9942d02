package harness

import (
	"context"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// pace measures, for as long as a test program runs, how long the machine takes over one
// known piece of work: a new connection to the tests' own PostgreSQL, which nobody
// disturbs. What a server may take is judged by that, since a machine that is shared with
// fifteen other tests and a compiler may stand still for seconds.
type pace struct {
	mu    sync.Mutex
	began time.Time // of the piece under way
	done  []piece
}

type piece struct {
	ended time.Time
	took  time.Duration
}

// machine is the pace of this test program's, measured since the first call.
var machine = sync.OnceValue(func() *pace {
	p := &pace{began: time.Now()}
	go func() {
		for {
			p.begin()
			p.end(dbtest.Connect(context.Background()) == nil)
			time.Sleep(250 * time.Millisecond)
		}
	}()
	return p
})

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
