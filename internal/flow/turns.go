package flow

import (
	"context"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/fault"
	"github.com/gatehouse-auth/gatehouse/internal/lockout"
)

// turns lets a few tries of one client at one address be under way at once; the
// others wait for theirs. Each try is counted before its password is looked at,
// so without this a program that signs in ten times at once, with the right
// password, would be told to wait for half a minute. It is for those who are
// right: nobody gets another try by it.
type turns struct {
	mu    sync.Mutex
	lines map[lockout.Client]*line
}

// line is the tries of one client: those under way have put something into
// places.
type line struct {
	places chan struct{}
	users  int // under way or waiting
}

// turnWait is how long a try waits for its turn.
const turnWait = 2 * time.Second

// errTurn is for one that has waited too long.
func errTurn() error {
	busy := fault.New(fault.Unavailable, "busy", "Too many sign-ins for this address are under way at this moment. Please try again in a few seconds.")
	busy.RetryAfter = turnWait
	return busy
}

// begin waits until fewer than most of the client's tries are under way. end
// must be called when this one is over.
func (t *turns) begin(ctx context.Context, c lockout.Client, most int) (end func(), err error) {
	t.mu.Lock()
	if t.lines == nil {
		t.lines = map[lockout.Client]*line{}
	}
	l := t.lines[c]
	if l == nil {
		l = &line{places: make(chan struct{}, most)}
		t.lines[c] = l
	}
	l.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(t.lines, c)
		}
	}
	timer := time.NewTimer(turnWait)
	defer timer.Stop()
	select {
	case l.places <- struct{}{}:
		return func() { <-l.places; leave() }, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = errTurn()
	}
	leave()
	return nil, err
}
