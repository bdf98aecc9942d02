package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type eventsTail struct {
	JSON bool  `name:"json" help:"Print JSON, one event a line."`
	From int64 `default:"-1" placeholder:"LEAF" help:"Begin with this leaf of the log rather than with what comes."`
}

func (eventsTail) Help() string {
	return "It goes on until it is interrupted. An event shows about a second after it happened.\n\nExample:\n  gatehouse events tail"
}

// Run prints events as they come.
func (e eventsTail) Run(ctx context.Context, t *terminal) error {
	return t.operator(ctx, func(o *flow.Operator) error {
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
					err = t.jsonLine(s.Line())
				} else {
					_, err = fmt.Fprintln(t.out, strings.Join(eventCells(s.Entry), "  "))
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

// interrupted is nil if the error is only that somebody pressed ^C.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
