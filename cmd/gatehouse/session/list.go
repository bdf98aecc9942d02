package session

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type listCommand struct {
	User string `arg:"" help:"The account's id or email address."`
	JSON bool   `name:"json" help:"Print JSON, one session per line."`
}

func (listCommand) Help() string { return "Example:\n  gatehouse session list ada@example.org" }

// Run lists the sessions.
func (s listCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		list, err := o.Sessions(ctx, s.User)
		if err != nil {
			return err
		}
		if s.JSON {
			return terminal.JSONLines(t, NewJSON(list))
		}
		if len(list) == 0 {
			fmt.Fprintf(t.Err, "%s has no active sessions.\n", s.User)
			return nil
		}
		lines := [][]string{{"ID", "NETWORK", "FIRST USED", "LAST USED", "EXPIRES", "DEVICE"}}
		for _, i := range list {
			lines = append(lines, []string{i.ID, i.Address, terminal.Time(i.BeganAt), terminal.Time(i.UsedAt), terminal.Time(i.EndsAt), i.UserAgent})
		}
		return t.Table(lines)
	})
}
