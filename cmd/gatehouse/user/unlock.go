package user

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type unlockCommand struct {
	User string `arg:"" help:"Its id or email address."`
}

func (unlockCommand) Help() string {
	return `After too many wrong passwords, a network has to wait before it may try again, and browsers that the account does not know are locked
out. This lets everybody try again at once. If somebody keeps guessing, it will happen again.

Example:
  gatehouse user unlock ada@example.org`
}

// Run forgets the tries.
func (u unlockCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		a, tries, err := o.Tries(ctx, u.User)
		if err != nil {
			return err
		}
		if err := o.Unlock(ctx, a.ID, t.Origin()); err != nil {
			return err
		}
		fmt.Fprintf(t.Out, "Unlocked %s: reset %d of %d attempts by others and %d of %d from known devices.\n",
			a.Email, tries.Unknown, lockout.UnknownMost, tries.Known, lockout.KnownMost)
		return nil
	})
}
