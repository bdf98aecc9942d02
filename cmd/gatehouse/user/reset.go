package user

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type resetCommand struct {
	User string `arg:"" help:"Its id or email address."`
	Yes  bool   `help:"Do it. Without it, the command only says what it would do."`
}

func (resetCommand) Help() string {
	return `Use it when somebody else may know the password: nobody can sign in until a new one is set. All sessions end, no browser counts as known
any more, links in older mails stop working, and the owner gets a mail with a link and a code to set a new password.

Example:
  gatehouse user reset --yes ada@example.org`
}

// Run demands a new password, or says what that would do.
func (u resetCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		if !u.Yes {
			a, err := o.User(ctx, u.User)
			if err != nil {
				return err
			}
			sessions, err := o.Sessions(ctx, a.ID)
			if err == nil {
				fmt.Fprintf(t.Out, "This would require %s (%s) to set a new password, by mail, and end %s. Add --yes to do it.\n",
					a.Email, state(a), terminal.Count(len(sessions), "session"))
			}
			return err
		}
		a, ended, err := o.ResetUser(ctx, u.User, t.Origin())
		if err == nil {
			fmt.Fprintf(t.Out, "%s has to set a new password: a mail is on its way. Ended %s.\n", a.Email, terminal.Count(ended, "session"))
		}
		return err
	})
}
