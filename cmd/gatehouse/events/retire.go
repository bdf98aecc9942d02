package events

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type retireCommand struct {
	Before string `required:"" placeholder:"TIME" help:"Delete the events before this time: 2026-08-01, or 90d ago. At least 30 days."`
	Yes    bool   `help:"Do it. Without it, the command only says what it would do."`
}

func (retireCommand) Help() string {
	return "Example:\n  gatehouse events retire --before 90d --yes"
}

// Run deletes the events, or says how many it would.
func (e retireCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	before, err := terminal.Moment(e.Before, time.Now())
	if err != nil {
		return err
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		until, n, err := o.Retirable(ctx, before)
		if err != nil {
			return err
		}
		if !e.Yes {
			_, err := fmt.Fprintf(t.Out, "This would delete %s from before %s. Add --yes to do it.\n", terminal.Count(int(n), "event"), terminal.Time(before))
			return err
		}
		if n > 0 {
			if n, err = o.RetireEvents(ctx, until); err != nil {
				return err
			}
		}
		_, err = fmt.Fprintf(t.Out, "Deleted %s from before %s. Their hashes stay in the log.\n", terminal.Count(int(n), "event"), terminal.Time(before))
		return err
	})
}

type eraseCommand struct {
	User string `arg:"" help:"The account's id or email address; if the account is gone, its id."`
	Yes  bool   `help:"Do it. Without it, the command only says what it would do."`
}

func (eraseCommand) Help() string {
	return `The account itself is not touched. What happened stays in the log, but not to whom, from where, or on which device.

Example:
  gatehouse events erase --yes ada@example.org`
}

// Run erases, or says what it would.
func (e eraseCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if !e.Yes {
		_, err := fmt.Fprintf(t.Out, "This would delete everything that identifies %s from all events, for good. Add --yes to do it.\n", e.User)
		return err
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		n, err := o.EraseEvents(ctx, e.User, t.Origin())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.Out, "Erased %s from %s.\n", e.User, terminal.Count(n, "event"))
		return err
	})
}
