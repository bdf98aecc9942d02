package user

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type disableCommand struct {
	User string `arg:"" help:"Its id or email address."`
	Yes  bool   `help:"Do it. Without it, the command only says what it would do."`
}

func (disableCommand) Help() string {
	return "Example:\n  gatehouse user disable --yes ada@example.org"
}

// Run disables the account, or says what that would do.
func (u disableCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		a, err := o.User(ctx, u.User)
		if err != nil {
			return err
		}
		if !u.Yes {
			sessions, err := o.Sessions(ctx, a.ID)
			if err != nil {
				return err
			}
			fmt.Fprintf(t.Out, "This would disable %s (%s) and end %s. Add --yes to do it.\n", a.Email, state(a), terminal.Count(len(sessions), "session"))
			return nil
		}
		ended, err := o.Disable(ctx, a.ID, t.Origin())
		if err != nil {
			return err
		}
		fmt.Fprintf(t.Out, "Disabled %s and ended %s.\n", a.Email, terminal.Count(ended, "session"))
		return nil
	})
}

type enableCommand struct {
	User string `arg:"" help:"Its id or email address."`
}

func (enableCommand) Help() string { return "Example:\n  gatehouse user enable ada@example.org" }

// Run enables the account.
func (u enableCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		a, err := o.User(ctx, u.User)
		if err != nil {
			return err
		}
		if err := o.Enable(ctx, a.ID, t.Origin()); err != nil {
			return err
		}
		fmt.Fprintf(t.Out, "Enabled %s.\n", a.Email)
		return nil
	})
}
