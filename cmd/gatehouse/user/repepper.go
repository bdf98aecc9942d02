package user

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type repepperCommand struct {
	Yes bool `help:"Do it. Without it, the command only says how many hashes it would change."`
}

func (repepperCommand) Help() string {
	return `To change the pepper, set the new one as PASSWORD_PEPPER and the old one as PASSWORD_PEPPER_PREVIOUS, restart the servers, run this, and
remove PASSWORD_PEPPER_PREVIOUS once there is nothing left to do. Without PASSWORD_PEPPER, it removes the pepper from all hashes. Nobody
has to change a password or sign in again. You can interrupt it and run it again.

Example:
  gatehouse user repepper --yes`
}

// Run seals the hashes, or says how many there are to seal.
func (u repepperCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	c, _, err := t.Settings()
	if err != nil {
		return err
	}
	pepper := password.NewPepper(c.PasswordPepper.Reveal(), c.PasswordPepperPrevious.Reveal())
	return t.Operator(ctx, func(o *operate.Operator) error {
		n, err := o.Repepper(ctx, pepper, !u.Yes, t.Origin(), func(seen int) {
			if terminal.IsTerminal(t.Err) {
				fmt.Fprintf(t.Err, "\r%d hashes", seen)
			}
		})
		if terminal.IsTerminal(t.Err) {
			fmt.Fprintln(t.Err)
		}
		done := "Sealed"
		if c.PasswordPepper == "" {
			done = "Unsealed"
		}
		switch {
		case err != nil && n > 0:
			return errors.Join(fmt.Errorf("%s %s before this went wrong; run it again once that is fixed", done, hashes(n)), err)
		case err != nil:
			return err
		case n == 0:
			fmt.Fprintln(t.Out, "There is nothing to do: every hash matches the settings.")
		case !u.Yes:
			fmt.Fprintf(t.Out, "This would change how %s stored. Add --yes to do it.\n", hashesAre(n))
		default:
			fmt.Fprintf(t.Out, "%s %s.\n", done, hashes(n))
		}
		return nil
	})
}

func hashes(n int) string {
	if n == 1 {
		return "1 hash"
	}
	return fmt.Sprintf("%d hashes", n)
}

func hashesAre(n int) string {
	if n == 1 {
		return "1 hash is"
	}
	return hashes(n) + " are"
}
