package main

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type userReset struct {
	User string `arg:"" help:"Its id or its address."`
	Yes  bool   `help:"Do it. Without this it only says what it would do."`
}

func (userReset) Help() string {
	return `For when somebody else may know the password: nobody signs in before a new one is set. All sessions end, no browser is known any more, links in older mails are void, and the owner gets a mail with a link and a code for a new password.

Example:
  gatehouse user reset --yes ada@example.org`
}

// Run demands a new password, or says what that would do.
func (u userReset) Run(ctx context.Context, t *terminal) error {
	return t.operator(ctx, func(o *flow.Operator) error {
		if !u.Yes {
			a, err := o.User(ctx, u.User)
			if err != nil {
				return err
			}
			sessions, err := o.Sessions(ctx, a.ID)
			if err == nil {
				fmt.Fprintf(t.out, "This would make %s (%s) set a new password by a mail, and end %s. Say --yes to do it.\n", a.Email, state(a), count(len(sessions), "session"))
			}
			return err
		}
		a, ended, err := o.ResetUser(ctx, u.User, t.origin())
		if err == nil {
			fmt.Fprintf(t.out, "%s has to set a new password: a mail is on its way. Ended %s.\n", a.Email, count(ended, "session"))
		}
		return err
	})
}
