package user

import (
	"context"
	"fmt"
	"strings"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type listCommand struct {
	JSON bool `name:"json" help:"Print JSON, one account per line."`
}

func (listCommand) Help() string { return "Example:\n  gatehouse user list --json | jq -r .email" }

// Run lists the accounts, a page at a time, so that a million of them need no
// more memory than a few.
func (u listCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	const pageSize = 500
	return t.Operator(ctx, func(o *operate.Operator) error {
		after := ""
		head := [][]string{{"ID", "EMAIL", "STATE", "ROLES", "CREATED", "SIGNED IN"}}
		for {
			list, err := o.Users(ctx, after, pageSize)
			if err != nil {
				return err
			}
			if after == "" && len(list) == 0 && !u.JSON {
				fmt.Fprintln(t.Err, "There are no accounts yet. Create one: gatehouse user create ADDRESS")
				return nil
			}
			if err := u.print(t, head, list); err != nil {
				return err
			}
			if len(list) < pageSize {
				return nil
			}
			after, head = list[len(list)-1].ID, nil
		}
	})
}

func (u listCommand) print(t *terminal.Terminal, lines [][]string, list []account.Account) error {
	if u.JSON {
		for _, a := range list {
			if err := t.JSONLine(newAccountJSON(a)); err != nil {
				return err
			}
		}
		return nil
	}
	for _, a := range list {
		lines = append(lines, []string{a.ID, a.Email, state(a), strings.Join(a.Roles, ","), terminal.Time(a.CreatedAt), terminal.Time(a.SignedInAt)})
	}
	return t.Table(lines)
}
