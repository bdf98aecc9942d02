package user

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type verifyCommand struct {
	User string `arg:"" help:"Its id or email address."`
}

func (verifyCommand) Help() string {
	return `Use it for an address that you know belongs to the account's owner.

Example:
  gatehouse user verify ada@example.org`
}

// Run marks the address as verified.
func (u verifyCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		a, err := o.User(ctx, u.User)
		if err != nil {
			return err
		}
		if err := o.Verify(ctx, a.ID, t.Origin()); err != nil {
			return err
		}
		fmt.Fprintf(t.Out, "The address %s is verified.\n", a.Email)
		return nil
	})
}
