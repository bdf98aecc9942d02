package password

import (
	"context"
	"slices"
	"sync"
)

type clientKey struct{}

// WithClient names whose work it is that is done with the context: the network that a
// request came from. Those without a name share one turn.
func WithClient(ctx context.Context, client string) context.Context {
	return context.WithValue(ctx, clientKey{}, client)
}

func clientIn(ctx context.Context) string {
	client, _ := ctx.Value(clientKey{}).(string)
	return client
}

// job is work that a worker does for a waiting caller.
type job struct {
	client string
	work   func() error
	done   chan error
}

// queue is the callers who wait: the clients in the order of their turns, and the
// jobs of each in the order in which they came.
type queue struct {
	mu    sync.Mutex
	jobs  map[string][]*job
	turns []string
}

func (q *queue) add(j *job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.jobs == nil {
		q.jobs = map[string][]*job{}
	}
	if len(q.jobs[j.client]) == 0 {
		q.turns = append(q.turns, j.client)
	}
	q.jobs[j.client] = append(q.jobs[j.client], j)
}

// next takes the first job of the client whose turn it is, which then is last; nil if
// nobody waits.
func (q *queue) next() *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.turns) == 0 {
		return nil
	}
	client := q.turns[0]
	q.turns = q.turns[1:]
	jobs := q.jobs[client]
	if len(jobs) == 1 {
		delete(q.jobs, client)
	} else {
		q.jobs[client] = jobs[1:]
		q.turns = append(q.turns, client)
	}
	return jobs[0]
}

// leave takes a job out that was given up, and reports false if a worker has it.
func (q *queue) leave(j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	jobs := q.jobs[j.client]
	i := slices.Index(jobs, j)
	if i < 0 {
		return false
	}
	if jobs = slices.Delete(jobs, i, i+1); len(jobs) > 0 {
		q.jobs[j.client] = jobs
		return true
	}
	delete(q.jobs, j.client)
	if i := slices.Index(q.turns, j.client); i >= 0 {
		q.turns = slices.Delete(q.turns, i, i+1)
	}
	return true
}
