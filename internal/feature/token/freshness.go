package token

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

const (
	// PollEvery is how often a replica reads what others have revoked.
	PollEvery = 250 * time.Millisecond
	// FreshFor is how long after it was asked for an answer is good. With the time
	// of a lookup it stays below the second that is promised.
	FreshFor = 900 * time.Millisecond
	// reloadEvery is how often everything is read again, in case of a mistake.
	reloadEvery = 5 * time.Minute
	// reloadTime is how long that may take. Polls go on meanwhile.
	reloadTime = 2 * time.Minute
	// askers is how many tokens may be looked up in the database at once, while
	// the memory is stale.
	askers = 4
)

// freshness is how far a replica has read, and when it last asked.
type freshness struct {
	mu       sync.Mutex
	askedAt  time.Time     // of the last good poll
	mark     int64         // every row with a smaller tx has been read
	loadedAt time.Time     // of the last good reading of everything
	begun    int64         // polls that began
	done     int64         // the number of the last good one
	good     chan struct{} // closed by the next good one
}

// ErrUnknown is for when it can't be determined whether a token has been
// revoked. It is no reason to sign anybody out.
var ErrUnknown = &fault.Error{
	Kind: fault.Unavailable, Code: "revocations_unknown", RetryAfter: time.Second,
	Message: "The server can't check at the moment whether this token has been revoked. Please try again shortly.",
}

// Poll reads what has been revoked since the last poll; at the first one, and
// when the database went back in time, that is everything.
func (r *Revocations) Poll(ctx context.Context) error {
	asked := r.now()
	f := &r.freshness
	f.mu.Lock()
	f.begun++
	number := f.begun
	if asked.Before(f.loadedAt) {
		// It was read by a clock that was set back since: what was forgotten by that
		// may matter again.
		f.mark = 0
	}
	mark := f.mark
	f.mu.Unlock()
	var rows []Revocation
	next, all, err := r.read(ctx, mark, asked, func(row Revocation) { rows = append(rows, row) })
	if err == nil {
		// Before it counts as fresh: followers learn how fresh what they get is.
		r.feed.take(rows, mark, next, all)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		if all {
			f.mark = 0 // it takes longer, so the next poll may
		}
		return err
	}
	f.mark, f.askedAt, f.done = next, asked, number
	if all {
		f.loadedAt = asked
	}
	if f.good != nil {
		close(f.good)
		f.good = nil
	}
	return nil
}

// Reload reads everything again, and forgets what can't matter any more.
func (r *Revocations) Reload(ctx context.Context) error {
	asked := r.now()
	if _, _, err := r.read(ctx, 0, asked, func(Revocation) {}); err != nil {
		return err
	}
	r.forget(asked)
	r.freshness.mu.Lock()
	defer r.freshness.mu.Unlock()
	r.freshness.loadedAt = asked
	return nil
}

// read takes in what was written since the mark, and hands it on if that is not
// everything. It reports the next mark, and whether it has read everything.
func (r *Revocations) read(ctx context.Context, mark int64, asked time.Time, more func(Revocation)) (next int64, all bool, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		next, all, err = Since(tx, mark, asked, func(row Revocation) {
			r.apply(row)
			if row.tx >= mark && mark > 0 {
				more(row)
			}
		})
		if err != nil {
			return err
		}
		return r.onPoll(tx)
	})
	return next, all || mark == 0, err
}

// Await returns once a poll has succeeded that began after this call, so that
// what was committed before it is known here.
func (r *Revocations) Await(ctx context.Context) error {
	f := &r.freshness
	f.mu.Lock()
	begun := f.begun
	f.mu.Unlock()
	for {
		f.mu.Lock()
		if f.done > begun {
			f.mu.Unlock()
			return nil
		}
		if f.good == nil {
			f.good = make(chan struct{})
		}
		good := f.good
		f.mu.Unlock()
		select {
		case <-good:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Run polls until the context ends. complain is called when polls begin to fail.
func (r *Revocations) Run(ctx context.Context, complain func(error)) {
	var reloads sync.WaitGroup
	defer reloads.Wait()
	tick := time.NewTicker(PollEvery)
	defer tick.Stop()
	failing := false
	reloading := make(chan struct{}, 1)
	for {
		err := r.poll(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			complain(err)
		}
		failing = err != nil
		if !failing && r.reloadDue() {
			select {
			case reloading <- struct{}{}:
				reloads.Go(func() {
					defer func() { <-reloading }()
					load, cancel := context.WithTimeout(ctx, reloadTime)
					defer cancel()
					if err := r.Reload(load); err != nil && ctx.Err() == nil {
						complain(err)
					}
				})
			default: // one is under way
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// poll is Poll with the time that it may take: little, save for everything.
func (r *Revocations) poll(ctx context.Context) error {
	limit := FreshFor
	r.freshness.mu.Lock()
	if r.freshness.mark == 0 || r.now().Before(r.freshness.loadedAt) {
		limit = reloadTime
	}
	r.freshness.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return r.Poll(ctx)
}

// reloadDue reports whether it is time to read everything again.
func (r *Revocations) reloadDue() bool {
	r.freshness.mu.Lock()
	defer r.freshness.mu.Unlock()
	return r.now().Sub(r.freshness.loadedAt) >= reloadEvery
}

// Age is how long ago the last good poll was asked for, by the monotonic clock
// or the wall clock, whichever says more: a machine that was suspended has only
// one of them right. It is endless before the first poll, and when the clock was
// set back since.
func (r *Revocations) Age() time.Duration { return r.since(r.asked()) }

// asked returns when the last good poll was asked for.
func (r *Revocations) asked() time.Time {
	r.freshness.mu.Lock()
	defer r.freshness.mu.Unlock()
	return r.freshness.askedAt
}

func (r *Revocations) since(asked time.Time) time.Duration {
	now := r.now()
	wall := now.Round(0).Sub(asked.Round(0))
	if asked.IsZero() || wall < 0 {
		return math.MaxInt64
	}
	return max(now.Sub(asked), wall)
}

// Check returns nil for a token that has not been revoked, ErrInvalid for one
// that has, and ErrUnknown if that can't be determined. While the memory is fresh it
// makes no query; otherwise it asks the database.
func (r *Revocations) Check(ctx context.Context, c *Claims) error {
	// What is looked at was known at the time asked for, and is old by the time of
	// the look's end: the process may have been suspended in between.
	asked := r.asked()
	if r.dead(c) {
		return errRevoked
	}
	age := r.since(asked)
	if age <= FreshFor {
		return nil
	}
	err := r.askQuickly(ctx, c)
	if err != nil && fault.KindOf(err) != fault.Unauthenticated {
		if age <= r.stale {
			return nil
		}
		return ErrUnknown.Because(err)
	}
	return err
}

var errRevoked = ErrInvalid.Because(errors.New("it has been revoked"))

// askQuickly asks again as long as an answer is too old when it comes.
func (r *Revocations) askQuickly(ctx context.Context, c *Claims) error {
	for {
		began := r.now()
		if err := r.ask(ctx, c); err != nil || r.since(began) <= FreshFor {
			return err
		}
	}
}

// ask looks one token up in the database.
func (r *Revocations) ask(ctx context.Context, c *Claims) error {
	select {
	case r.asking <- struct{}{}:
		defer func() { <-r.asking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := r.db.Read(ctx, func(tx *db.Tx) error {
		return taker(func(row Revocation) { r.apply(row) }).read(tx.Query(`SELECT kind, subject, roles, n, expires_at, tx FROM revocation
			WHERE (kind = 'session' AND subject = $1) OR (kind = 'roles' AND subject = $2) OR (kind = 'key' AND subject = $3) OR (kind = 'before' AND subject = '')`,
			c.Session, c.Subject, c.KeyID))
	})
	if err != nil {
		return err
	}
	if r.dead(c) {
		return errRevoked
	}
	return nil
}
