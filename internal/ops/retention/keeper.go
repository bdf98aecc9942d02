package retention

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/hold"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Lease is the name of the lease under which retention runs.
const Lease = "retention"

// Every is how often the server runs it, and retry how soon again after a failure.
const (
	Every = time.Hour
	retry = 10 * time.Minute
)

// clocksApart is how far the database's clock may be from this machine's.
const clocksApart = 5 * time.Minute

// Keeper deletes what is kept long enough.
type Keeper struct {
	DB     *db.DB
	Events *event.Log
	Jobs   *job.Runner
	Kinds  []Kind
	Pacer  *Pacer
	// Inactive deletes accounts that nobody uses.
	Inactive Inactive
	// Seal seals the event log as far as it is committed.
	Seal func(ctx context.Context) error
	// Clock is the database's; zero where that has none of its own.
	Clock func(ctx context.Context) (time.Time, error)
	Now   func() time.Time
}

// By says on whose behalf retention runs.
type By struct {
	// Who is "operator", the role of an administrator, or empty for the timetable.
	Who string
	// Account and Session are an administrator's.
	Account, Session string
	// Why is an administrator's reason.
	Why    string
	Origin event.Origin
}

// The faults.
var (
	errRunning = fault.New(fault.Conflict, "retention_running",
		"Another process is deleting what is due. Wait until it is done; if it died, two minutes.")
	errPaused = fault.New(fault.Conflict, "retention_paused", "Retention is paused: nothing is deleted. `gatehouse retention status` says why and until when.")
	errLeapt  = fault.New(fault.Conflict, "retention_waits", "The clock has leapt, or retention has not run for a day: it deletes nothing for a day, "+
		"lest a wrong clock delete what should stay. If the clock is right, `gatehouse retention resume` goes on at once.")
	errClocks = fault.New(fault.Conflict, "clocks_apart", "The database's clock and this machine's are over 5 minutes apart: nothing is deleted until they agree.")

	// errNotDue ends a run by the timetable that another replica has done meanwhile.
	errNotDue = errors.New("no run is due")
)

// Preview returns what a run would delete now, by kind. It deletes nothing.
func (k *Keeper) Preview(ctx context.Context) ([]Due, error) { return k.preview(ctx, ctx) }

// Glance is Preview for somebody who waits: it looks for so long at most, and says of each kind whether there may be more.
func (k *Keeper) Glance(ctx context.Context, most time.Duration) ([]Due, error) {
	limited, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return k.preview(ctx, limited)
}

// preview looks until the inner context ends.
func (k *Keeper) preview(ctx, limited context.Context) ([]Due, error) {
	now := k.Now()
	looks := make([]func() (Due, error), 0, len(k.Kinds)+1)
	for _, kind := range k.Kinds {
		looks = append(looks, func() (Due, error) {
			d := Due{Kind: kind.Name, Line: kind.Line, Before: now.Add(-kind.Kept)}
			return d, k.Pacer.sweep(limited, db.Batch{Before: db.Micros(d.Before), Dry: true}, kind.Sweep, nothing, d.add)
		})
	}
	if k.Inactive.After > 0 {
		looks = append(looks, func() (Due, error) { return k.idleDue(limited) })
	}
	list := make([]Due, 0, len(looks))
	for _, look := range looks {
		d, err := look()
		if err != nil && limited.Err() != nil && ctx.Err() == nil {
			d.More, err = true, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Kind, err)
		}
		list = append(list, d)
	}
	return list, nil
}

// Step runs retention if it is due by the timetable. That another replica does so, or that a
// hold stands, is no error.
func (k *Keeper) Step(ctx context.Context) error {
	st, err := k.Standing(ctx)
	if err != nil || !st.due(k.Now()) {
		return err
	}
	_, err = k.Run(ctx, By{})
	for _, known := range []error{errRunning, errPaused, errLeapt, errNotDue} {
		if errors.Is(err, known) {
			return nil
		}
	}
	return err
}

// Standing returns how retention stands.
func (k *Keeper) Standing(ctx context.Context) (st Standing, err error) {
	err = k.DB.Read(ctx, func(tx *db.Tx) (err error) { st, err = Stand(tx, k.Now()); return err })
	return st, err
}

// Run deletes all that is due, and returns what that was.
func (k *Keeper) Run(ctx context.Context, by By) (deleted []event.Deleted, err error) {
	err = k.Jobs.Hold(ctx, Lease, func(ctx context.Context, _ func(context.Context) error) error {
		var begun bool
		deleted, begun, err = k.begin(ctx, by)
		if !begun {
			return err
		}
		for _, kind := range k.Kinds {
			if deleted, err = k.delete(ctx, kind, deleted, by); err != nil {
				break
			}
		}
		if err == nil {
			deleted, err = k.inactive(ctx, deleted)
		}
		return errors.Join(err, k.end(ctx, deleted, by, err))
	})
	if errors.Is(err, job.ErrHeld) {
		err = errRunning
	}
	return deleted, err
}

// begin looks at the clocks and at holds. What a run has deleted that was broken off counts
// with this one's.
func (k *Keeper) begin(ctx context.Context, by By) (deleted []event.Deleted, begun bool, err error) {
	clock, err := k.Clock(ctx)
	if err != nil {
		return nil, false, err
	}
	now := k.Now()
	if apart := clock.Sub(now).Abs(); !clock.IsZero() && apart > clocksApart {
		return nil, false, errors.Join(errClocks, k.end(ctx, nil, by, errClocks))
	}
	err = k.DB.Write(ctx, func(tx *db.Tx) error {
		st, err := standLocked(tx, now)
		if err != nil {
			return err
		}
		if st.Hold != nil {
			return errPaused
		}
		if by.Who == "" && !st.due(now) {
			return errNotDue
		}
		st.look(now)
		if begun = st.Wait.IsZero(); begun {
			st.Began = now
		}
		deleted = st.Deleting
		return st.write(tx)
	})
	if err == nil && !begun {
		err = errLeapt
	}
	return deleted, begun && err == nil, err
}

// delete deletes what is due of a kind, and returns the tally with it. A hold that is set meanwhile
// ends it before the next batch.
func (k *Keeper) delete(ctx context.Context, kind Kind, deleted []event.Deleted, by By) ([]event.Deleted, error) {
	before := k.Now().Add(-kind.Kept)
	sweep := kind.Sweep
	if kind.Name == kindEvents {
		var err error
		if sweep, err = k.retire(ctx, before, by.Who); err != nil || sweep == nil {
			return deleted, err
		}
	}
	within := func(tx *db.Tx, s db.Swept) error {
		_, stands, err := hold.Standing(tx, k.Now())
		if err != nil {
			return err
		}
		if stands {
			return errPaused
		}
		if s.Due > 0 {
			tx.Defer(`UPDATE retention SET deleting = $1 WHERE one = 1`, tallied(plus(deleted, kind.Name, s.Due)))
		}
		return nil
	}
	err := k.Pacer.sweep(ctx, db.Batch{Before: db.Micros(before)}, sweep, within, func(s db.Swept) { deleted = plus(deleted, kind.Name, s.Due) })
	if err != nil && !errors.Is(err, errPaused) {
		err = fmt.Errorf("%s: %w", kind.Name, err)
	}
	return deleted, err
}

// end keeps a record of how a run ended, although its caller may have no more time. What one
// deleted that failed counts with the next.
func (k *Keeper) end(ctx context.Context, deleted []event.Deleted, by By, failure error) error {
	if ctx.Err() != nil {
		return nil // the server stops, or somebody pressed ^C: the next run goes on
	}
	now := k.Now()
	return k.DB.Write(ctx, func(tx *db.Tx) error {
		st, err := standLocked(tx, now)
		if err != nil {
			return err
		}
		d := event.Detail{Count: Total(deleted), Deleted: deleted}
		switch {
		case failure == nil:
			st.Ran, st.Deleted, st.Failures, st.Error = now, deleted, 0, ""
		case errors.Is(failure, errPaused):
			d.Reason = errPaused.Code
		default:
			st.Looked, st.Failures, st.Error = now, st.Failures+1, fmt.Sprintf("%.1000s", failure.Error())
			return st.write(tx)
		}
		st.Began, st.Deleting = time.Time{}, nil
		if d.Count > 0 || by.Who != "" {
			k.note(tx, event.RetentionRun, operate.ActRetain, d, by)
		}
		return st.write(tx)
	})
}
