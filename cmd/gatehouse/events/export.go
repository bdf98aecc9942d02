package events

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type exportCommand struct {
	filter `embed:""`
	Format event.Format `default:"jsonl" enum:"jsonl,csv,ecs" help:"jsonl, csv, or ecs (Elastic Common Schema)."`
	Sealed bool         `help:"Write the log itself, with everything needed to verify it elsewhere."`
	From   int64        `placeholder:"LEAF" help:"With --sealed: start at this leaf."`
}

func (exportCommand) Help() string {
	return `It writes to standard output, newest first; with --sealed, in the order of the log.

Examples:
  gatehouse events export --since 30d --format csv >events.csv
  gatehouse events export --sealed >log.jsonl`
}

// Run exports.
func (e exportCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if e.Sealed {
		if e.any() || e.Format != event.JSONLines {
			return terminal.UsageError("--sealed can't be combined with a filter or another format: an incomplete log can't be verified.")
		}
		return t.Operator(ctx, func(o *operate.Operator) error {
			n, err := o.ExportSealed(ctx, e.From, t.Out)
			if err == nil {
				fmt.Fprintf(t.Err, "Exported %s.\n", terminal.Count(int(n), "event"))
			}
			return err
		})
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		f, err := e.parse(ctx, o)
		if err != nil {
			return err
		}
		x := event.NewExporter(t.Out, e.Format)
		return errors.Join(o.EachEvent(ctx, f, 0, x.Write), x.Close())
	})
}

func (f filter) any() bool {
	return f.Since != "" || f.Until != "" || f.Account != "" || f.Network != "" || f.Outcome != "" || len(f.Event) > 0
}
