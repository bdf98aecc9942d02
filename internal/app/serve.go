package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/ops/retention"
)

// drainTime is how long requests that were accepted may take to finish when the
// server stops.
const drainTime = 20 * time.Second

func (s *Server) serve(b *base) {
	ctx, cancel := context.WithCancel(context.Background())
	s.background = cancel
	for _, c := range s.capabilities {
		for _, loop := range c.loops {
			s.running.Go(func() { loop(ctx) })
		}
	}
	s.early.over(s.adminHandler(b.registry))
	for _, l := range s.listeners() {
		if l != &s.admin || !s.early.serves {
			go func() { s.broken <- s.serveOn(l) }()
		}
	}
}

// Run waits until the context ends, or a listener breaks, and stops the server. Asked to end, it serves
// for SHUTDOWN_DELAY_SECONDS more, for load balancers that have to see readyz first.
func (s *Server) Run(ctx context.Context) error {
	var broken error
	select {
	case <-ctx.Done():
		broken = s.linger()
	case broken = <-s.broken:
	}
	return errors.Join(broken, s.Stop())
}

// linger serves for a while after readyz has said that the server stops.
func (s *Server) linger() (broken error) {
	s.leave()
	if s.config.ShutdownDelay == 0 {
		return nil
	}
	s.log.Info("stopping: readyz says so, and the port closes later", "in", s.config.ShutdownDelay.String())
	select {
	case <-time.After(s.config.ShutdownDelay):
	case broken = <-s.broken:
	}
	return broken
}

// leave has readyz say that requests are better sent elsewhere.
func (s *Server) leave() { s.left.Do(func() { close(s.leaving) }) }

// Stop takes no more connections, finishes the requests that it has accepted,
// and closes everything. readyz says so from the first moment on, and answers
// until the last request is done.
func (s *Server) Stop() error {
	s.leave()
	close(s.draining)
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := s.public.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(errors.New("some requests did not finish in time"), s.public.http.Close())
	}
	if s.redirect != nil {
		err = errors.Join(err, notClosed(s.redirect.http.Close()))
	}
	s.background()
	s.running.Wait()
	return errors.Join(err, s.closeCapabilities())
}

// goodbye has a connection closed with the answer to its next request once the server is to stop, so that a proxy that keeps
// connections finds none of them closed as it sends.
func (s *Server) goodbye(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-s.leaving:
			w.Header().Set("Connection", "close")
		default:
		}
		next.ServeHTTP(w, r)
	})
}

func notClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// inBatches is a job that deals with a batch in each transaction until one is not full, with
// rests between, so that nobody waits long for it. It is for tables that never have much of what is due:
// each batch begins at the front. Others are swept.
func inBatches(d *db.DB, name string, every time.Duration, remove func(tx *db.Tx, limit int) (int64, error)) job.Job {
	return job.Job{Name: name, Every: every, Lease: 10 * time.Minute, Run: func(ctx context.Context) error {
		return retention.NewPacer(d).Run(ctx, func(tx *db.Tx, limit int) (more bool, err error) {
			n, err := remove(tx, limit)
			return n >= int64(limit), err
		})
	}}
}

// sweeping is a job that deletes what was over before a time, which before says at its start.
func sweeping(d *db.DB, name string, every time.Duration, before func() time.Time, sweep retention.Sweep) job.Job {
	return job.Job{Name: name, Every: every, Lease: 10 * time.Minute, Run: func(ctx context.Context) error {
		return retention.NewPacer(d).Sweep(ctx, before(), sweep)
	}}
}
