// Package bench is the load generator behind `gatehouse bench`: it signs in at a
// running server, puts a load on it, and tells how long the answers took.
//
// Two rules make its numbers mean something. In an open loop, calls are due at
// fixed times and a call's latency counts from when it was due, not from when a
// client was free to make it: a server that stands still for a second delays
// fifty calls at 50 a second, and fifty are told of ("no coordinated omission").
// And refreshes are chains: each client sends the token that its last answer
// brought, so what is measured is what real clients do.
//
// It speaks HTTP/1.1 over connections of its own, one a client, because on one
// machine net/http's client would take more of the processor than the server.
package bench

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"
)

// Scenario is what the clients of a load do.
type Scenario string

// The scenarios.
const (
	// Refresh trades the refresh token of the last answer for the next one.
	Refresh Scenario = "refresh"
	// Me asks who the bearer is.
	Me Scenario = "me"
	// Login signs in with a password.
	Login Scenario = "login"
	// Get fetches Load.Path, with Load.Bearer if that is set; it needs no account.
	Get Scenario = "get"
	// Own does what Load.Own says.
	Own Scenario = "own"
)

// Load is a number of clients that do one thing, each over its own connection.
type Load struct {
	Scenario Scenario
	Clients  int
	// Rate is how many calls a second are due, in equal steps, whether or not
	// those before were answered (open loop). With 0, each client makes its next
	// call when it has the last answer (closed loop).
	Rate float64
	// Patient clients wait as long as a refusal's Retry-After says. Others ask
	// again at once.
	Patient bool
	// Path is for Get and Me, Bearer for Get.
	Path, Bearer string
	// Own is one call of Own's, by as many exchanges as it needs, and returns the status that it ended with. turn
	// counts: the calls of a client, from its own number on.
	Own func(turn int, send Send) (status int, err error)
	// Sessions are refresh tokens to use in turn, instead of signing in: those of
	// a database that was filled by a program.
	Sessions []string
}

// Send makes one exchange over a client's connection.
type Send func(method, path string, body []byte) (status int, answer []byte, err error)

// Plan is a whole run: loads that go on at the same time.
type Plan struct {
	// Target is the server's address, http or https, without a path.
	Target *url.URL
	Loads  []Load
	// Accounts is how many accounts are registered for the run, at least 1; the
	// clients share them. They stay behind.
	Accounts int
	// Warmup goes before, and is not counted; Duration is.
	Warmup, Duration time.Duration
	// Progress is told what is being done. It may be nil.
	Progress func(string)
}

// timeout is how long one call may take before it counts as failed.
const timeout = 30 * time.Second

// Run sets up what the plan needs, runs it, and reports.
func Run(ctx context.Context, p Plan) (Report, error) {
	if err := p.check(); err != nil {
		return Report{}, err
	}
	if p.Progress == nil {
		p.Progress = func(string) {}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // closes every connection
	all, err := p.clients(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("setting up: %w", err)
	}
	p.Progress(fmt.Sprintf("measuring for %s, after %s of warm-up", p.Duration, p.Warmup))
	began := time.Now()
	window := span{from: began.Add(p.Warmup), to: began.Add(p.Warmup + p.Duration)}
	report := Report{Target: p.Target.String(), Began: began.UTC().Truncate(time.Second), Streams: make([]Stream, len(p.Loads))}
	var wg sync.WaitGroup
	for i, l := range p.Loads {
		wg.Go(func() { report.Streams[i] = l.run(ctx, all[i], began, window) })
	}
	wg.Wait()
	return report, ctx.Err()
}

func (p *Plan) check() error {
	if err := checkTarget(p.Target); err != nil {
		return err
	}
	if p.Accounts < 1 || p.Duration <= 0 || p.Warmup < 0 || len(p.Loads) == 0 {
		return errors.New("a run needs a load, at least one account, and a duration above zero")
	}
	for _, l := range p.Loads {
		if l.Clients < 1 || l.Rate < 0 {
			return errors.New("a load needs at least one client, and a rate of zero or more")
		}
	}
	return nil
}

func checkTarget(t *url.URL) error {
	if t == nil || t.Scheme != "http" && t.Scheme != "https" || t.Host == "" {
		return errors.New("the target must be a URL that begins with http:// or https:// and names a host")
	}
	return nil
}

// span is the time that counts.
type span struct{ from, to time.Time }

func (s span) holds(t time.Time) bool { return !t.Before(s.from) && t.Before(s.to) }
