package retention

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/ops/retention"
)

type runCommand struct {
	DryRun bool `help:"Delete nothing: say what would be, by kind, with how many and since when."`
	JSON   bool `name:"json" help:"Print JSON; one kind per line with --dry-run."`
}

func (runCommand) Help() string {
	return `It deletes in small batches with rests between, so that nobody who signs in notices. Broken off anywhere, the next run goes on.

Example:
  gatehouse retention run --dry-run`
}

// dueJSON is what would be deleted of a kind, for programs.
type dueJSON struct {
	Kind   string     `json:"kind"`
	Line   string     `json:"line,omitempty"`
	Before time.Time  `json:"before"`
	Count  int64      `json:"count"`
	Oldest *time.Time `json:"oldest"`
}

// Run deletes, or says what it would.
func (r runCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return keep(ctx, t, func(k *retention.Keeper) error {
		if r.DryRun {
			return r.preview(ctx, t, k)
		}
		deleted, err := k.Run(ctx, operator(t))
		if err != nil {
			return err
		}
		if r.JSON {
			return t.JSON(tallyJSON(deleted))
		}
		lines := [][]string{{"KIND", "DELETED"}}
		for _, d := range deleted {
			lines = append(lines, []string{d.Kind, fmt.Sprint(d.Count)})
		}
		if len(deleted) > 0 {
			if err := t.Table(lines); err != nil {
				return err
			}
		}
		_, err = fmt.Fprintf(t.Err, "Deleted %s.\n", terminal.Count(int(retention.Total(deleted)), "row"))
		return err
	})
}

func (r runCommand) preview(ctx context.Context, t *terminal.Terminal, k *retention.Keeper) error {
	list, err := k.Preview(ctx)
	if err != nil {
		return err
	}
	lines := [][]string{{"KIND", "LINE", "OVER BEFORE", "DUE", "OLDEST"}}
	var out []dueJSON
	for _, d := range list {
		lines = append(lines, []string{d.Kind, d.Line, terminal.Time(d.Before), fmt.Sprint(d.Count), terminal.Time(d.Oldest)})
		out = append(out, dueJSON{d.Kind, d.Line, d.Before, d.Count, terminal.JSONTime(d.Oldest)})
	}
	if r.JSON {
		return terminal.JSONLines(t, out)
	}
	return t.Table(lines)
}
