package incident

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

type approveCommand struct {
	Incident string `arg:"" help:"Its name: INC-1."`
	Action   string `arg:"" help:"The id of the action that waits: gatehouse incident show lists them."`
	Reason   string `help:"Why you approve it: it goes into the event log. With --yes it is asked for."`
	Yes      bool   `help:"Approve it, and have it done. Without it, the command only counts what it would touch now."`
	JSON     bool   `name:"json" help:"Print JSON."`
}

func (approveCommand) Help() string {
	return `Where APPROVALS=two, the gravest actions wait four hours for somebody else than who ordered them: another administrator, or another system
user here. Whoever is the same person by sudo, or on another machine, is the same. What should not be done is withdrawn: gatehouse incident stop.

Example:
  gatehouse incident approve INC-1 0198c0de-0000-7000-8000-000000000001
  gatehouse incident approve INC-1 0198c0de-0000-7000-8000-000000000001 --yes --reason "We have seen the logs together"`
}

// Run approves it, or says what it would touch.
func (c approveCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return one(ctx, t, c.Incident, func(d *respond.Desk, n int64) error {
		if c.Yes {
			done, err := d.Approve(ctx, n, c.Action, c.Reason, operator(t))
			if err != nil {
				return err
			}
			return tellDone(t, n, done, c.JSON)
		}
		a, p, err := d.PreviewWaiting(ctx, n, c.Action)
		if err != nil {
			return err
		}
		if !c.JSON {
			fmt.Fprintf(t.Out, "Ordered by %s, until %s. Reason: %s\n", a.Actor, terminal.Time(a.ExpiresAt), a.Why)
		}
		return tellPreview(t, p, c.Reason, c.JSON)
	})
}
