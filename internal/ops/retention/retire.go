package retention

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// eventsDue counts the events that are due. None is deleted so.
func eventsDue(tx *db.Tx, b db.Batch) (s db.Swept, err error) {
	if _, s.Due, err = event.Retirable(tx, db.Time(b.Before)); err != nil || s.Due == 0 {
		return s, err
	}
	oldest, err := event.Oldest(tx)
	s.Oldest = db.Micros(oldest)
	return s, err
}

// retire states that all events of before a time go, has the log sealed with that, and
// returns the sweep that deletes them; nil if there are none. The statement is sealed before anything is gone, so
// the log still verifies, wherever the run is broken off.
func (k *Keeper) retire(ctx context.Context, before time.Time, by string) (Sweep, error) {
	var (
		until, n  int64
		statement string
	)
	err := k.DB.Read(ctx, func(tx *db.Tx) (err error) {
		until, n, err = event.Retirable(tx, before)
		return err
	})
	if err != nil || n == 0 {
		return nil, err
	}
	err = k.DB.Write(ctx, func(tx *db.Tx) error {
		statement = k.Events.StateRetirement(tx, until, by)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := event.SealUntil(ctx, k.DB, statement, k.Seal); err != nil {
		return nil, err
	}
	return func(tx *db.Tx, b db.Batch) (s db.Swept, err error) {
		s.Due, err = k.Events.Retire(tx, statement, until, b.Keys)
		s.Looked = int(s.Due)
		return s, err
	}, nil
}
