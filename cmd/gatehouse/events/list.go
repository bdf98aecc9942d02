package events

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type listCommand struct {
	filter `embed:""`
	Limit  int  `default:"50" help:"Show at most this many; 0 shows all."`
	JSON   bool `name:"json" help:"Print JSON, one event per line."`
}

func (listCommand) Help() string {
	return "Example:\n  gatehouse events list --since 7d --account ada@example.org"
}

// Run lists the events.
func (e listCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if e.Limit < 0 {
		return terminal.UsageError("--limit must be 0 or more.")
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		f, err := e.parse(ctx, o)
		if err != nil {
			return err
		}
		if e.JSON {
			return o.EachEvent(ctx, f, e.Limit, func(e event.Entry) error { return t.JSONLine(e.Line()) })
		}
		lines := [][]string{heads}
		err = o.EachEvent(ctx, f, e.Limit, func(e event.Entry) error {
			lines = append(lines, cells(e))
			return nil
		})
		if err != nil || len(lines) > 1 {
			return errors.Join(err, t.Table(lines))
		}
		fmt.Fprintln(t.Err, "No events.")
		return nil
	})
}

var heads = []string{"TIME", "EVENT", "OUTCOME", "ACCOUNT", "ADDRESS", "REASON", "ID"}

// cells is an event as a line of a table. None of these cells holds what a
// client wrote.
func cells(e event.Entry) []string {
	account := e.Account
	if e.Erased {
		account = "(erased)"
	}
	return []string{terminal.Time(e.Time), string(e.Kind), string(e.Outcome), account, e.Address, e.Detail.Reason, e.ID}
}
