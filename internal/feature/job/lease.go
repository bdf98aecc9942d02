package job

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

const (
	// leaseLife is how long a lease that is renewed lasts without being renewed,
	// renewEvery how often it is, and leaseLost when its holder stops by itself: before
	// another may take it.
	leaseLife  = 2 * time.Minute
	renewEvery = 30 * time.Second
	leaseLost  = 90 * time.Second
)

// ErrHeld is for a lease that another process has.
var ErrHeld = errors.New("another process has the lease")

// errLost ends what is done under a lease that could not be renewed.
var errLost = errors.New("the lease could not be renewed, so another process may have it")

// Hold calls fn while this process, and no other, has the lease of the name; ErrHeld if
// another has it. The lease is renewed as long as fn runs: a dead process blocks for two
// minutes, whatever it was doing. When it can't be renewed fn's context ends. fn may ask
// with renew whether the lease is still its own.
func (r *Runner) Hold(ctx context.Context, name string, fn func(ctx context.Context, renew func(context.Context) error) error) error {
	if err := r.hold(ctx, name); err != nil {
		return err
	}
	run, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.keep(run, name, cancel)
	}()
	err := fn(run, func(ctx context.Context) error { return r.renew(ctx, name) })
	if cause := context.Cause(run); errors.Is(cause, errLost) {
		err = errors.Join(cause, err)
	}
	cancel(nil)
	<-done
	back, cancelBack := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancelBack()
	text := ""
	if err != nil {
		text = storable(err.Error())
	}
	return errors.Join(err, r.db.Write(back, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE job SET holder = '', leased_to = 0, finished_at = $3, error = $4 WHERE name = $1 AND holder = $2`,
			name, r.holder, db.Micros(r.now()), text)
		return err
	}))
}

// hold takes the lease.
func (r *Runner) hold(ctx context.Context, name string) error {
	return r.db.Write(ctx, func(tx *db.Tx) error {
		now := r.now()
		if _, err := tx.Exec(`INSERT INTO job (name, holder, leased_to, due_at, error) VALUES ($1, '', 0, 0, '') ON CONFLICT DO NOTHING`, name); err != nil {
			return err
		}
		// What is leased for longer than it can be was written by a clock that was wrong.
		n, err := tx.Exec(`UPDATE job SET holder = $2, leased_to = $3, started_at = $4, due_at = 0 WHERE name = $1 AND (leased_to <= $4 OR leased_to > $5)`,
			name, r.holder, db.Micros(now.Add(leaseLife)), db.Micros(now), db.Micros(now.Add(2*leaseLife)))
		if err == nil && n == 0 {
			return ErrHeld
		}
		return err
	})
}

// renew makes the lease longer, if it is still this process's.
func (r *Runner) renew(ctx context.Context, name string) error {
	return r.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(`UPDATE job SET leased_to = $3 WHERE name = $1 AND holder = $2`, name, r.holder, db.Micros(r.now().Add(leaseLife)))
		if err == nil && n == 0 {
			return errLost
		}
		return err
	})
}

// keep renews the lease until the context ends, or ends it when that is no longer possible.
func (r *Runner) keep(ctx context.Context, name string, lost context.CancelCauseFunc) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	renewed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := r.renew(ctx, name)
		switch {
		case err == nil:
			renewed = time.Now()
		case errors.Is(err, errLost) || time.Since(renewed) >= leaseLost:
			lost(errLost)
			return
		}
	}
}
