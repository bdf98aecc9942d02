package operate

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// EachEvent calls fn with the newest events that pass the filter, newest first,
// until there are limit of them; 0 is all.
func (f *Operator) EachEvent(ctx context.Context, filter event.Filter, limit int, fn func(event.Entry) error) error {
	for told := 0; limit == 0 || told < limit; {
		page := 500
		if limit > 0 {
			page = min(page, limit-told)
		}
		var found []event.Entry
		err := f.DB.Read(ctx, func(tx *db.Tx) (err error) {
			found, filter.Before, err = f.Events.Search(tx, filter, page)
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range found {
			if err := fn(e); err != nil {
				return err
			}
		}
		if told += len(found); filter.Before == "" {
			return nil
		}
	}
	return nil
}

// EventsAfter returns sealed events from a leaf on, in the order of the log, and
// the leaf to go on with.
func (f *Operator) EventsAfter(ctx context.Context, leaf int64, limit int) (page []event.Sealed, next int64, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		page, next, err = f.Events.After(tx, leaf, limit)
		return err
	})
	return page, next, err
}

// Event returns one event with its proof.
func (f *Operator) Event(ctx context.Context, id string) (s event.Sealed, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		s, err = f.Events.Show(tx, id)
		return err
	})
	return s, err
}

// LogHead returns how far the log is sealed, under which origins, and its newest
// checkpoints.
func (f *Operator) LogHead(ctx context.Context, checkpoints int) (h event.Head, origins []event.LogOrigin, list []event.Checkpoint, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		if h, err = event.ReadHead(tx); err != nil {
			return err
		}
		if origins, err = event.LogOrigins(tx); err != nil {
			return err
		}
		list, err = event.Checkpoints(tx, checkpoints)
		return err
	})
	return h, origins, list, err
}

// VerifyLog reads the log and reports what is wrong with it.
func (f *Operator) VerifyLog(ctx context.Context, o event.VerifyOptions) (event.Report, error) {
	return event.Verify(ctx, f.DB, o)
}

// ExportSealed writes the log from a leaf on with all that it takes to verify it
// elsewhere.
func (f *Operator) ExportSealed(ctx context.Context, from int64, w io.Writer) (int64, error) {
	return event.ExportSealed(ctx, f.DB, from, w)
}

// RestartLog takes the log as it is for the log from now on, under a new origin
// and the key.
func (f *Operator) RestartLog(ctx context.Context, key string, from event.Origin) (o event.LogOrigin, err error) {
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		last, err := event.Checkpoints(tx, 1)
		if err != nil {
			return err
		}
		if o, err = event.Restart(tx, key, f.Now()); err != nil {
			return err
		}
		detail := event.Detail{By: flow.ByOperator}
		if len(last) > 0 {
			detail.Checkpoint = fmt.Sprint(last[0].Note)
		}
		f.Events.Append(tx, event.Event{Kind: event.LogRestarted, Outcome: event.Success, Origin: from, Detail: detail})
		return nil
	})
	return o, err
}

// Retirable returns up to which leaf all events are older than a time, and how
// many that are.
func (f *Operator) Retirable(ctx context.Context, before time.Time) (until, events int64, err error) {
	if f.Now().Sub(before) < event.RetireAfter {
		return 0, 0, fault.New(fault.Invalid, "events_too_young", "Events are kept for at least 30 days: choose an earlier time.")
	}
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		until, events, err = event.Retirable(tx, before)
		return err
	})
	return until, events, err
}

// retireBatch bounds the events that one transaction deletes.
const retireBatch = 500

// RetireEvents deletes all events before a leaf that Retirable gave, once the event that
// states it is sealed.
func (f *Operator) RetireEvents(ctx context.Context, until int64) (n int64, err error) {
	var statement string
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		statement = f.Events.StateRetirement(tx, until, flow.ByOperator)
		return nil
	})
	if err != nil {
		return 0, err
	}
	if err := event.SealUntil(ctx, f.DB, statement, f.Seal); err != nil {
		return 0, err
	}
	for {
		var done int64
		err := f.DB.Write(ctx, func(tx *db.Tx) (err error) {
			done, err = f.Events.Retire(tx, statement, until, retireBatch)
			return err
		})
		if n += done; err != nil || done == 0 {
			return n, err
		}
	}
}

// EraseEvents deletes what points at an account in all its events, each time after an
// event that states it is sealed. An account
// that is gone is named by its id.
func (f *Operator) EraseEvents(ctx context.Context, user string, from event.Origin) (n int, err error) {
	id := user
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		a, err := account.Find(tx, user)
		if err == nil {
			id = a.ID
		} else if fault.KindOf(err) == fault.NotFound {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	for {
		done, err := f.eraseSome(ctx, id, from)
		if err != nil || done == 0 {
			return n, err
		}
		n += done
	}
}

// eraseSome states an erasure, seals the statement, and erases, each in its own transaction.
// It needs no running server: what it states it seals itself, at the same time as whoever else seals.
func (f *Operator) eraseSome(ctx context.Context, id string, from event.Origin) (int, error) {
	var e event.Erasure
	err := f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		e, err = f.Events.StateErasure(tx, id, retireBatch, flow.ByOperator, from)
		return err
	})
	if err != nil || e.Events() == 0 {
		return 0, err
	}
	if err := event.SealUntil(ctx, f.DB, e.Statement(), f.Seal); err != nil {
		return 0, err
	}
	return e.Events(), f.DB.Write(ctx, func(tx *db.Tx) error { return f.Events.Erase(tx, e) })
}
