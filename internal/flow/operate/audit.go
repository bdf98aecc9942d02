package operate

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Audit shows administrators the log of security events.
type Audit struct {
	flow.Core
}

// Search returns the newest events that pass the filter, at most limit, and the
// cursor to go on with, which is empty at the log's beginning. With a filter that few
// pass there may be none, and yet a cursor.
func (f *Audit) Search(ctx context.Context, filter event.Filter, limit int) (list []event.Entry, next string, err error) {
	ctx, run := f.Count.Begin(ctx, "audit")
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		list, next, err = f.Events.Search(tx, filter, limit)
		return err
	})
	return list, next, run.End(err)
}

// Show returns one event with its proof.
func (f *Audit) Show(ctx context.Context, id string) (s event.Sealed, err error) {
	ctx, run := f.Count.Begin(ctx, "audit")
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		s, err = f.Events.Show(tx, id)
		return err
	})
	return s, run.End(err)
}

// Tail returns the events that were sealed from a leaf on, in the order of the log, and
// the leaf to go on with; -1 is the end of the log.
func (f *Audit) Tail(ctx context.Context, leaf int64, limit int) (page []event.Sealed, next int64, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		if leaf < 0 {
			head, err := event.ReadHead(tx)
			next = head.Size
			return err
		}
		page, next, err = f.Events.After(tx, leaf, limit)
		return err
	})
	return page, next, err
}
