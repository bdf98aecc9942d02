package db

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
)

// step begins the part of a trace that is the database's, waiting for it included.
func (d *DB) step(ctx context.Context, name string) (context.Context, trace.Step) {
	ctx, step := trace.Begin(ctx, name)
	step.Set("db.system.name", string(d.dialect))
	return ctx, step
}

// ended ends it, and returns the error. What a flow decided on what it read is no
// failure of the database's; the texts of those that are stay here.
func ended(step trace.Step, err error) error {
	if f := fault.As(err); f != nil && f.Kind == fault.Unavailable {
		step.Failed(f.Code)
	} else if BlameOf(err) != BlameNone {
		step.Failed("database_error")
	}
	step.End(nil)
	return err
}
