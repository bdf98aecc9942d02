package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type eventsList struct {
	eventFilter `embed:""`
	Limit       int  `default:"50" help:"At most so many; 0 is all."`
	JSON        bool `name:"json" help:"Print JSON, one event a line."`
}

func (eventsList) Help() string {
	return "Example:\n  gatehouse events list --since 7d --account ada@example.org"
}

// Run lists the events.
func (e eventsList) Run(ctx context.Context, t *terminal) error {
	if e.Limit < 0 {
		return usageError("--limit is 0 or more.")
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		f, err := e.parse(ctx, o)
		if err != nil {
			return err
		}
		if e.JSON {
			return o.EachEvent(ctx, f, e.Limit, func(e event.Entry) error { return t.jsonLine(e.Line()) })
		}
		lines := [][]string{eventHeads}
		err = o.EachEvent(ctx, f, e.Limit, func(e event.Entry) error {
			lines = append(lines, eventCells(e))
			return nil
		})
		if err != nil || len(lines) > 1 {
			return errors.Join(err, t.table(lines))
		}
		fmt.Fprintln(t.err, "No events.")
		return nil
	})
}

var eventHeads = []string{"TIME", "EVENT", "OUTCOME", "ACCOUNT", "ADDRESS", "REASON", "ID"}

// eventCells is an event as a line of a table. None of these cells holds what a
// client wrote.
func eventCells(e event.Entry) []string {
	account := e.Account
	if e.Erased {
		account = "(erased)"
	}
	return []string{day(e.Time), string(e.Kind), string(e.Outcome), account, e.Address, e.Detail.Reason, e.ID}
}
