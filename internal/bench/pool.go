package bench

import (
	"context"
	"net/url"
	"sync"
	"time"
)

// idleFor is how long a connection may be unused before it is given up: well before a server closes it.
const idleFor = 5 * time.Second

// pool is the connections to a target, of which a crowd's visits take whichever is free.
type pool struct {
	ctx    context.Context
	target *url.URL
	places chan struct{}
	mu     sync.Mutex
	idle   []resting
}

type resting struct {
	conn  *conn
	since time.Time
}

func newPool(ctx context.Context, target *url.URL, size int) *pool {
	return &pool{ctx: ctx, target: target, places: make(chan struct{}, size)}
}

// do makes a call on a free connection, and waits for one.
func (p *pool) do(r request) (answer, error) {
	select {
	case p.places <- struct{}{}:
	case <-p.ctx.Done():
		return answer{}, p.ctx.Err()
	}
	defer func() { <-p.places }()
	c := p.take()
	a, err := c.do(r)
	p.mu.Lock()
	p.idle = append(p.idle, resting{c, time.Now()})
	p.mu.Unlock()
	return a, err
}

// take returns the connection that was used last, or a new one.
func (p *pool) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := len(p.idle); n > 0; n = len(p.idle) {
		last := p.idle[n-1]
		p.idle = p.idle[:n-1]
		if time.Since(last.since) < idleFor {
			return last.conn
		}
		last.conn.close() // and all beneath it are older
	}
	return &conn{target: p.target, ctx: p.ctx}
}
