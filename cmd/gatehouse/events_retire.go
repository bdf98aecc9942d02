package main

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type eventsRetire struct {
	Before string `required:"" placeholder:"TIME" help:"Delete the events before this time: 2026-08-01, or as long ago as 90d. At least 30 days."`
	Yes    bool   `help:"Do it. Without this it only says what it would do."`
}

func (eventsRetire) Help() string {
	return "Example:\n  gatehouse events retire --before 90d --yes"
}

// Run deletes the events, or says how many it would.
func (e eventsRetire) Run(ctx context.Context, t *terminal) error {
	before, err := moment(e.Before, time.Now())
	if err != nil {
		return err
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		until, n, err := o.Retirable(ctx, before)
		if err != nil {
			return err
		}
		if !e.Yes {
			_, err := fmt.Fprintf(t.out, "This would delete %s from before %s. Say --yes to do it.\n", count(int(n), "event"), day(before))
			return err
		}
		if n > 0 {
			if n, err = o.RetireEvents(ctx, until); err != nil {
				return err
			}
		}
		_, err = fmt.Fprintf(t.out, "Deleted %s from before %s. Their hashes stay in the log.\n", count(int(n), "event"), day(before))
		return err
	})
}

type eventsErase struct {
	User string `arg:"" help:"The account's id or address; of an account that is gone, its id."`
	Yes  bool   `help:"Do it. Without this it only says what it would do."`
}

func (eventsErase) Help() string {
	return `The account itself is not touched. What happened stays in the log, without who, from where, and on which device.

Example:
  gatehouse events erase --yes ada@example.org`
}

// Run erases, or says what it would.
func (e eventsErase) Run(ctx context.Context, t *terminal) error {
	if !e.Yes {
		_, err := fmt.Fprintf(t.out, "This would delete what points at %s in all events, for good. Say --yes to do it.\n", e.User)
		return err
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		n, err := o.EraseEvents(ctx, e.User, t.origin())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.out, "Erased %s from %s.\n", e.User, count(n, "event"))
		return err
	})
}
