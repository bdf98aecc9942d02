package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
)

// capability is what one of them adds to the server. Each is a file of this package
// with a constructor, and a line in [Server.list]; what it does not have, it
// leaves out.
type capability struct {
	name string
	// routes are what it serves on the public listener: of a door's types, each its own.
	routes []web.Routes
	// own are what it serves on the host that the console has to itself (ADMIN_URL); none where it has none.
	own  []web.Routes
	jobs []job.Job
	// loops run in the background until their context ends, from the moment on that
	// everything has opened. They end before anything is closed.
	loops   []func(ctx context.Context)
	metrics []prometheus.Collector
	// checks make readyz answer 503, so that requests go to another replica; warnings
	// are what an operator should mend, and no other replica would do better.
	checks, warnings []check
	// poll reads what every replica has to know within a second, in one transaction
	// with the revocations. It must be quick.
	poll func(tx *db.Tx) error
	// begin does, once everything has opened, what must be done before the first
	// request.
	begin func(ctx context.Context) error
	// close is called with nothing of the server's running any more, after those of the
	// capabilities that opened later.
	close func() error
}

// check is one line of readyz.
type check struct {
	name string
	// ask says what is wrong, in a few words, or nothing. The error is for the log.
	ask func(ctx context.Context) (trouble string, err error)
}

// warning is a check that has no error for the log.
func warning(name string, ask func(ctx context.Context) string) check {
	return check{name, func(ctx context.Context) (string, error) { return ask(ctx), nil }}
}

// opener makes a capability. One that fails has closed what it opened.
type opener func() (capability, error)

// open opens capabilities one by one, and registers what they measure. Those that
// opened are the server's, to be closed, whether or not a later one fails.
func (s *Server) open(b *base, list []opener) error {
	for _, open := range list {
		c, err := open()
		if err != nil {
			return err
		}
		s.capabilities = append(s.capabilities, c)
		for _, m := range c.metrics {
			if err := b.registry.Register(m); err != nil {
				return fmt.Errorf("the metrics of %s: %w", c.name, err)
			}
		}
		b.jobs.Add(c.jobs...)
	}
	return nil
}

// begin does what must be done before the first request.
func (s *Server) begin(ctx context.Context) error {
	for _, c := range s.capabilities {
		if c.begin == nil {
			continue
		}
		if err := c.begin(ctx); err != nil {
			return err
		}
	}
	return nil
}

// poll does what the capabilities do in each poll.
func (s *Server) poll(tx *db.Tx) error {
	var err error
	for _, c := range s.capabilities {
		if c.poll != nil {
			err = errors.Join(err, c.poll(tx))
		}
	}
	return err
}

// closeCapabilities closes what has opened, the last first.
func (s *Server) closeCapabilities() error {
	var err error
	for i := len(s.capabilities) - 1; i >= 0; i-- {
		if c := s.capabilities[i]; c.close != nil {
			err = errors.Join(err, c.close())
		}
	}
	return err
}

// gauge is a metric that is asked when it is read.
func gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
}

// counter is gauge for what only grows.
func counter(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value)
}
