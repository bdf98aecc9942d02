package token

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/db"
	"github.com/gatehouse-auth/gatehouse/internal/fault"
)

const (
	// PollEvery is how often a replica reads what others have revoked.
	PollEvery = 250 * time.Millisecond
	// FreshFor is how long after it was asked for an answer is good. With the time
	// of a look-up it stays below the second that is promised.
	FreshFor = 900 * time.Millisecond
	// reloadEvery is how often everything is read again, in case of a mistake.
	reloadEvery = 5 * time.Minute
	// askers is how many tokens may be looked up in the database at once, while
	// the memory is stale.
	askers = 4
)

// freshness is how far a replica has read, and when it last asked.
type freshness struct {
	mu       sync.Mutex
	askedAt  time.Time // of the last good poll
	mark     int64     // every row with a smaller tx has been read
	loadedAt time.Time // of the last good poll that read everything
}

// ErrUnknown is for a moment in which nobody can tell whether a token has been
// revoked. It is no reason to sign anybody out.
var ErrUnknown = &fault.Error{
	Kind: fault.Unavailable, Code: "revocations_unknown", RetryAfter: time.Second,
	Message: "It can't be told for the moment whether this token has been revoked. Please try again shortly.",
}

// Poll reads what has been revoked since the last poll. The horizon comes
// first: what commits late stands behind it, and is read next time.
func (r *Revocations) Poll(ctx context.Context) error {
	asked := r.now()
	f := &r.freshness
	f.mu.Lock()
	mark, loaded := f.mark, f.loadedAt
	f.mu.Unlock()
	// A time in the future is one of a clock that was set back since: what was
	// forgotten by it may matter again.
	all := asked.Sub(loaded) >= reloadEvery || asked.Before(loaded)
	var (
		horizon int64
		rows    []revocation
	)
	err := r.db.Read(ctx, func(tx *db.Tx) (err error) {
		if horizon, err = tx.Horizon("revocation"); err != nil {
			return err
		}
		if all || horizon < mark { // or the database went back in time
			all, mark = true, 0
		}
		rows, err = read(tx.Query(`SELECT kind, subject, roles, n, expires_at FROM revocation WHERE tx >= $1 AND expires_at > $2`,
			mark, db.Micros(asked)))
		return err
	})
	if err != nil {
		return err
	}
	r.apply(rows)
	if all {
		r.forget(asked)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mark, f.askedAt = horizon, asked
	if all {
		f.loadedAt = asked
	}
	return nil
}

// Run polls until the context ends. complain is told when polls begin to fail.
func (r *Revocations) Run(ctx context.Context, complain func(error)) {
	tick := time.NewTicker(PollEvery)
	defer tick.Stop()
	failing := false
	for {
		poll, cancel := context.WithTimeout(ctx, FreshFor)
		err := r.Poll(poll)
		cancel()
		if err != nil && ctx.Err() == nil && !failing {
			complain(err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Age is how long ago the last good poll was asked for, by the monotonic clock
// or the wall clock, whichever says more: a machine that was suspended has only
// one of them right. It is endless before the first poll, and when the clock was
// set back since.
func (r *Revocations) Age() time.Duration {
	r.freshness.mu.Lock()
	asked := r.freshness.askedAt
	r.freshness.mu.Unlock()
	now := r.now()
	wall := now.Round(0).Sub(asked.Round(0))
	if asked.IsZero() || wall < 0 {
		return math.MaxInt64
	}
	return max(now.Sub(asked), wall)
}

// Check returns nil for a token that has not been revoked, ErrInvalid for one
// that has, and ErrUnknown if that can't be told. While the memory is fresh it
// asks nobody; otherwise it asks the database.
func (r *Revocations) Check(ctx context.Context, c *Claims) error {
	age := r.Age()
	if r.dead(c) {
		return errRevoked
	}
	if age <= FreshFor {
		return nil
	}
	err := r.ask(ctx, c)
	if err != nil && fault.KindOf(err) != fault.Unauthenticated {
		if age <= r.stale {
			return nil
		}
		return ErrUnknown.Because(err)
	}
	return err
}

var errRevoked = ErrInvalid.Because(errors.New("it has been revoked"))

// ask looks one token up in the database.
func (r *Revocations) ask(ctx context.Context, c *Claims) error {
	select {
	case r.asking <- struct{}{}:
		defer func() { <-r.asking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var rows []revocation
	err := r.db.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = read(tx.Query(`SELECT kind, subject, roles, n, expires_at FROM revocation
			WHERE (kind = 'session' AND subject = $1) OR (kind = 'roles' AND subject = $2)`, c.Session, c.Subject))
		return err
	})
	if err != nil {
		return err
	}
	r.apply(rows)
	if r.dead(c) {
		return errRevoked
	}
	return nil
}
