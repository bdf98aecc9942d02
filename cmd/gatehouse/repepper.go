package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type userRepepper struct {
	Yes bool `help:"Do it. Without this it only says how many hashes it would change."`
}

func (userRepepper) Help() string {
	return `After a change of PASSWORD_PEPPER: set the new one as PASSWORD_PEPPER and the old one as PASSWORD_PEPPER_PREVIOUS, restart the servers, run this, and remove PASSWORD_PEPPER_PREVIOUS when it finds nothing more to do. Without PASSWORD_PEPPER it takes the sealing off. Nobody has to change a password or sign in again, and it can be interrupted and run again.

Example:
  gatehouse user repepper --yes`
}

// Run seals the hashes, or says how many there are to seal.
func (u userRepepper) Run(ctx context.Context, t *terminal) error {
	c, _, err := t.settings()
	if err != nil {
		return err
	}
	pepper := password.NewPepper(c.PasswordPepper.Reveal(), c.PasswordPepperPrevious.Reveal())
	return t.operator(ctx, func(o *flow.Operator) error {
		n, err := o.Repepper(ctx, pepper, !u.Yes, t.origin(), func(seen int) {
			if isTerminal(t.err) {
				fmt.Fprintf(t.err, "\r%d hashes", seen)
			}
		})
		if isTerminal(t.err) {
			fmt.Fprintln(t.err)
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
			fmt.Fprintln(t.out, "There is nothing to do: every hash is as the settings say.")
		case !u.Yes:
			fmt.Fprintf(t.out, "This would change how %s kept. Say --yes to do it.\n", hashesAre(n))
		default:
			fmt.Fprintf(t.out, "%s %s.\n", done, hashes(n))
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
