package retention

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/hold"
	"github.com/gatehouse-auth/gatehouse/internal/ops/retention"
)

type pauseCommand struct {
	Reason string `required:"" help:"Why, such as the name of the case: it goes into the event log."`
	Until  string `required:"" placeholder:"TIME" help:"Until when: 2026-12-31, or 30d from now; a year at most."`
}

func (pauseCommand) Help() string {
	return `For a legal hold, or an incident whose traces must stay. It stops a run within a batch, and nobody is erased meanwhile, by their own wish
either. A second pause replaces the first.

Example:
  gatehouse retention pause --reason "case 4711" --until 2027-03-31`
}

// Run pauses.
func (p pauseCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	until, err := ending(p.Until, time.Now())
	if err != nil {
		return err
	}
	return keep(ctx, t, func(k *retention.Keeper) error {
		if err := k.Pause(ctx, until, p.Reason, operator(t)); err != nil {
			return err
		}
		_, err := fmt.Fprintf(t.Out, "Nothing is deleted for its age, and nobody is erased, until %s.\n", terminal.Time(until))
		return err
	})
}

// ending reads until when a pause lasts: a time, or how long from now.
func ending(s string, now time.Time) (time.Time, error) {
	if d, ok := terminal.Duration(s, hold.Longest); ok {
		return now.Add(d), nil
	}
	until, err := terminal.Moment(s, now)
	if err == nil && !until.After(now) {
		err = terminal.UsageError("--until: the time is over already")
	}
	return until, err
}

type resumeCommand struct{}

func (resumeCommand) Help() string {
	return `It also has retention go on that waits because the clock has leapt: look at the clock first.

Example:
  gatehouse retention resume`
}

// Run ends a pause.
func (resumeCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return keep(ctx, t, func(k *retention.Keeper) error {
		if err := k.Resume(ctx, operator(t)); err != nil {
			return err
		}
		_, err := fmt.Fprintln(t.Out, "What is kept long enough is deleted again.")
		return err
	})
}
