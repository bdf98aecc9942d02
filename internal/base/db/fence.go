package db

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// While an installation is moved to another database its row has a time, the fence: then no [DB.Write] of any process changes
// anything, but for those that are past it. Each process looks before a write whose last look is a second old, so after
// [FenceWait] every write that began before the fence is over, and none comes after it.
//
// Once the row says where the installation has moved, a process that is left on the old database reads nothing either: what is
// revoked in the new one would go on here. It finds that out as it writes, and by [DB.Watch].

const (
	// fenceFresh is how old what a process knows of the fence may be.
	fenceFresh = time.Second
	// FenceWait is how long after the fence is up nothing is written any more.
	FenceWait = MaxWrite + 2*fenceFresh
)

// errFence is why a write is refused.
var errFence = errors.New("the database is fenced, since it is being moved or was: gatehouse backup move")

// fence is what a process knows of it.
type fence struct {
	mu       sync.Mutex
	lookedAt time.Time
	at       Standing
	looking  *fenceLook // nil if nobody looks
	// moved says that the last look found the installation gone: reads ask for nothing else.
	moved     atomic.Bool
	watchedAt atomic.Int64
}

// fenceLook is a look that others wait for.
type fenceLook struct {
	began time.Time
	done  chan struct{}
	at    Standing
	err   error // why it could not be seen, for all who wait
}

type pastFence struct{}

// PastFence lets the writes under the context through the fence: those of who moves the installation.
func PastFence(ctx context.Context) context.Context { return context.WithValue(ctx, pastFence{}, true) }

// mayWrite refuses a write while the fence is up. A database that is away is found so once, by all who wait.
func (d *DB) mayWrite(ctx context.Context) error {
	if ctx.Value(pastFence{}) != nil {
		return nil
	}
	f := &d.fence
	for {
		f.mu.Lock()
		if !f.lookedAt.IsZero() && time.Since(f.lookedAt) < fenceFresh {
			at := f.at
			f.mu.Unlock()
			return at.refuses()
		}
		looking := f.looking
		if looking == nil {
			f.looking = &fenceLook{began: time.Now(), done: make(chan struct{})}
			f.mu.Unlock()
			return d.look(ctx)
		}
		f.mu.Unlock()
		select {
		case <-looking.done:
			if looking.err != nil {
				return looking.err
			}
			if time.Since(looking.began) < 2*fenceFresh { // FenceWait has room for it
				return looking.at.refuses()
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// mayRead refuses a read once the installation has moved away.
func (d *DB) mayRead(ctx context.Context) error {
	if !d.fence.moved.Load() {
		return nil
	}
	return d.mayWrite(ctx) // it looks again now and then: an operator may have taken the move back
}

// Watch finds out whether the installation has moved away, for a process that may write nothing for long. It is for a poll, and
// asks once a second.
func (d *DB) Watch(tx *Tx) error {
	now, last := time.Now().UnixNano(), d.fence.watchedAt.Load()
	if now-last < int64(fenceFresh) && now >= last {
		return nil
	}
	s, err := standing(tx)
	if err != nil {
		return err
	}
	d.fence.watchedAt.Store(now)
	if s.MovedTo == "" {
		return nil
	}
	d.fence.moved.Store(true)
	return s.refuses()
}

// refuses is why nothing is written, or read, while it stands so; nil where there is no reason.
func (s Standing) refuses() error {
	if s.FencedAt == 0 {
		return nil
	}
	e := fault.New(fault.Unavailable, "database_unavailable", "This service is being moved to another database, and takes no changes for a few minutes. "+
		"Please try again shortly.")
	e.RetryAfter = 10 * time.Second
	if s.MovedTo != "" {
		return e.Because(fmt.Errorf("the installation has moved to %s, and this process still has the old database: set DATABASE_URL to the new one, and start it "+
			"anew: %w", s.MovedTo, errFence))
	}
	return e.Because(errFence)
}

// look asks the database for all who wait. The time counts from before the question. A database without the table has no fence.
func (d *DB) look(ctx context.Context) error {
	began := time.Now()
	s, err := d.standing(ctx)
	if isLost(err) {
		s, err = d.standing(ctx)
	}
	if err != nil && ctx.Err() == nil && fault.KindOf(classify(err)) != fault.Unavailable {
		s, err = Standing{}, nil
	}
	f := &d.fence
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.lookedAt, f.at, f.looking.at = began, s, s
		f.moved.Store(s.MovedTo != "")
	} else {
		f.looking.began = time.Time{} // one caller's end is nobody else's
		if ctx.Err() == nil {
			f.looking.err = err
		}
	}
	close(f.looking.done)
	f.looking = nil
	if err != nil {
		return err
	}
	return f.at.refuses()
}

// Standing is whether an installation is being moved away from the database.
type Standing struct {
	// FencedAt is since when it takes no changes, in microseconds; 0 if it does.
	FencedAt int64
	// MovedTo says where it has moved; empty if it has not.
	MovedTo string
}

func (d *DB) standing(ctx context.Context) (s Standing, err error) {
	err = d.engine.read(ctx, func(tx *Tx) error {
		s, err = standing(tx)
		return err
	})
	return s, err
}

func standing(tx *Tx) (s Standing, err error) {
	err = tx.QueryRow(`SELECT fenced_at, moved_to FROM install WHERE one = 1`).Scan(&s.FencedAt, &s.MovedTo)
	if errors.Is(err, ErrNoRows) {
		err = nil
	}
	return s, err
}

// Standing reads whether the installation is being moved away.
func (d *DB) Standing(ctx context.Context) (Standing, error) {
	s, err := d.standing(ctx)
	return s, classify(err)
}

// movedAway refuses a database that the installation has left, or is leaving.
func (d *DB) movedAway(ctx context.Context) error {
	s, err := d.Standing(ctx)
	switch {
	case err != nil:
		return err
	case s.MovedTo != "":
		return fault.New(fault.Conflict, "moved", fmt.Sprintf(
			"This installation has moved to %s, and what is here is old. Set DATABASE_URL to the new database.", s.MovedTo))
	case s.FencedAt != 0:
		return fault.New(fault.Conflict, "fenced", "This installation is being moved to another database, or that was broken off. Run the same "+
			"gatehouse backup move again: it goes on. To give it up: gatehouse backup move --abort.")
	}
	return nil
}

// Quiet waits until all transactions are over that have begun to write. On SQLite there is one writer, whom a write of nothing
// waits for.
func (d *DB) Quiet(ctx context.Context) error {
	if d.dialect == SQLite {
		return d.Write(PastFence(ctx), func(tx *Tx) error {
			_, err := tx.Exec(`UPDATE install SET fenced_at = fenced_at WHERE one = 1`)
			return err
		})
	}
	var next int64
	err := d.Read(ctx, func(tx *Tx) error {
		return tx.QueryRow(`SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint`).Scan(&next)
	})
	for err == nil {
		var oldest int64
		err = d.Read(ctx, func(tx *Tx) error {
			return tx.QueryRow(`SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint`).Scan(&oldest)
		})
		if err == nil && oldest >= next {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return err
}

// Count counts a table's rows.
func (s *Snapshot) Count(table string) (n int64, err error) {
	err = s.Row(fmt.Sprintf(`SELECT COUNT(*) FROM "%s"`, table), &n)
	return n, err
}
