package flow

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// Audit shows administrators the log of security events.
type Audit struct {
	Core
}

// Search returns the newest events that pass the filter, at most limit, and the
// cursor to go on with, which is empty at the log's beginning. With a filter that few
// pass there may be none, and yet a cursor.
func (f *Audit) Search(ctx context.Context, filter event.Filter, limit int) (list []event.Entry, next string, err error) {
	ctx, run := f.Count.begin(ctx, "audit")
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		list, next, err = f.Events.Search(tx, filter, limit)
		return err
	})
	return list, next, run.end(err)
}
