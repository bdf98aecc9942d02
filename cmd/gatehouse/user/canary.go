package user

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
)

type canaryCommand struct {
	User   string `arg:"" help:"Its id or email address."`
	Remove bool   `help:"Turn it back into an ordinary account."`
}

func (canaryCommand) Help() string {
	return `A canary is an account that nobody has a reason to use: whoever tries to sign in to it got its address from somewhere they should not
have access to. Any event on it raises an alert, except those of operators. Give it a random password, and an address that appears
nowhere else.

Example:
  gatehouse user canary trap@example.org`
}

// Run makes the account a canary.
func (u canaryCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		a, err := o.User(ctx, u.User)
		if err != nil {
			return err
		}
		if err := o.DB.Write(ctx, func(tx *db.Tx) error { return alert.SetCanary(tx, a.ID, !u.Remove, time.Now()) }); err != nil {
			return err
		}
		if u.Remove {
			_, err = fmt.Fprintf(t.Out, "%s is no longer a canary.\n", a.Email)
			return err
		}
		_, err = fmt.Fprintf(t.Out, "%s is a canary: any use of it raises an alert.\n", a.Email)
		return err
	})
}
