package flow

import (
	"context"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
)

// clientQueues lets a few tries of one client at one address be under way at once; the
// others wait for theirs. Each try is counted before its password is looked at,
// so without this a program that signs in ten times at once, with the right
// password, would have to wait for half a minute. It is for those who are
// right: nobody gets another try by it.
type clientQueues struct {
	mu      sync.Mutex
	clients map[lockout.Client]*clientQueue
}

// clientQueue is the tries of one client: those under way have put something into
// places.
type clientQueue struct {
	places chan struct{}
	users  int // under way or waiting
}

// queueWait is how long a try waits for its turn: an office of fifty may sign in at nine
// from one network.
const queueWait = 8 * time.Second

// inTurn has passwords hashed in the turn of the site that a request came from: nobody
// gets more turns by more networks.
func inTurn(ctx context.Context, from event.Origin) context.Context {
	return password.WithClient(ctx, event.Site(from.Address).String())
}

// errQueueTimeout is for one that has waited too long.
func errQueueTimeout() error {
	busy := fault.New(fault.Unavailable, "busy", "Too many sign-ins for this address are in progress. Please try again in a few seconds.")
	busy.RetryAfter = queueWait
	return busy
}

// enter waits until fewer than most of the client's tries are under way. end
// must be called when this one is over.
func (q *clientQueues) enter(ctx context.Context, c lockout.Client, most int) (end func(), err error) {
	q.mu.Lock()
	if q.clients == nil {
		q.clients = map[lockout.Client]*clientQueue{}
	}
	l := q.clients[c]
	if l == nil {
		l = &clientQueue{places: make(chan struct{}, most)}
		q.clients[c] = l
	}
	l.users++
	q.mu.Unlock()
	leave := func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(q.clients, c)
		}
	}
	timer := time.NewTimer(queueWait)
	defer timer.Stop()
	select {
	case l.places <- struct{}{}:
		return func() { <-l.places; leave() }, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-timer.C:
		err = errQueueTimeout()
	}
	leave()
	return nil, err
}
