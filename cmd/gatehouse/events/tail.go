package events

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type tailCommand struct {
	JSON bool  `name:"json" help:"Print JSON, one event per line."`
	From int64 `default:"-1" placeholder:"LEAF" help:"Start at this leaf of the log instead of with new events."`
}

func (tailCommand) Help() string {
	return "It runs until it is interrupted. An event shows up about a second after it happened.\n\nExample:\n  gatehouse events tail"
}

// Run prints events as they come.
func (e tailCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		next := e.From
		if next < 0 {
			h, _, _, err := o.LogHead(ctx, 0)
			if err != nil {
				return err
			}
			next = h.Size
		}
		for {
			page, after, err := o.EventsAfter(ctx, next, 500)
			if err != nil {
				return interrupted(ctx, err)
			}
			for _, s := range page {
				if e.JSON {
					err = t.JSONLine(s.Line())
				} else {
					_, err = fmt.Fprintln(t.Out, strings.Join(cells(s.Entry), "  "))
				}
				if err != nil {
					return err
				}
			}
			if next = after; len(page) > 0 {
				continue
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(500 * time.Millisecond):
			}
		}
	})
}

// interrupted is nil if the error is only that the user pressed ^C.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
