package main

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type userUnlock struct {
	User string `arg:"" help:"Its id or its address."`
}

func (userUnlock) Help() string {
	return `Too many wrong passwords make a network wait, and lock all browsers out that the account does not know. This lets everybody try again at once. If somebody still guesses, it will happen again.

Example:
  gatehouse user unlock ada@example.org`
}

// Run forgets the tries.
func (u userUnlock) Run(ctx context.Context, t *terminal) error {
	return t.operator(ctx, func(o *flow.Operator) error {
		a, tries, err := o.Tries(ctx, u.User)
		if err != nil {
			return err
		}
		if err := o.Unlock(ctx, a.ID, t.origin()); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "Unlocked %s: %d of %d tries by others and %d of %d from known devices are forgotten.\n",
			a.Email, tries.Unknown, lockout.UnknownMost, tries.Known, lockout.KnownMost)
		return nil
	})
}
