package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type eventsExport struct {
	eventFilter `embed:""`
	Format      event.Format `default:"jsonl" enum:"jsonl,csv,ecs" help:"jsonl, csv, or ecs (Elastic Common Schema)."`
	Sealed      bool         `help:"Write the log itself, with all that it takes to verify it elsewhere."`
	From        int64        `placeholder:"LEAF" help:"With --sealed: begin with this leaf."`
}

func (eventsExport) Help() string {
	return `It writes to standard output, the newest first; with --sealed in the order of the log.

Examples:
  gatehouse events export --since 30d --format csv >events.csv
  gatehouse events export --sealed >log.jsonl`
}

// Run exports.
func (e eventsExport) Run(ctx context.Context, t *terminal) error {
	if e.Sealed {
		if e.any() || e.Format != event.JSONLines {
			return usageError("--sealed takes no filter and no other format: what is left out can't be verified.")
		}
		return t.operator(ctx, func(o *flow.Operator) error {
			n, err := o.ExportSealed(ctx, e.From, t.out)
			if err == nil {
				fmt.Fprintf(t.err, "Exported %s.\n", count(int(n), "event"))
			}
			return err
		})
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		f, err := e.parse(ctx, o)
		if err != nil {
			return err
		}
		x := event.NewExporter(t.out, e.Format)
		return errors.Join(o.EachEvent(ctx, f, 0, x.Write), x.Close())
	})
}

func (f eventFilter) any() bool {
	return f.Since != "" || f.Until != "" || f.Account != "" || f.Network != "" || f.Outcome != "" || len(f.Event) > 0
}
