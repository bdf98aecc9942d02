package user

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// day is what the wait is counted in.
const day = 24 * time.Hour

type eraseCommand struct {
	User  string `arg:"" help:"Its id or email address."`
	Grace int    `default:"-1" placeholder:"DAYS" help:"After how many days, instead of ERASURE_GRACE_DAYS."`
	Now   bool   `help:"Do not wait. Nobody can take it back."`
	Yes   bool   `help:"Do it. Without it, the command only says what it would do."`
}

func (eraseCommand) Help() string {
	return `All sessions end at once, and the owner gets a mail that says when the account is deleted. Any sign-in before then keeps it, and so does
gatehouse user release. Then a running server deletes the account with all that belongs to it, and what identifies its owner in the event log, which
still verifies.

Examples:
  gatehouse user erase --yes ada@example.org
  gatehouse user erase --now --yes ada@example.org`
}

// Run makes that the account is erased, or says what that would do.
func (u eraseCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		wait := o.ErasureGrace
		switch {
		case u.Now:
			wait = 0
		case u.Grace >= 0:
			wait = time.Duration(u.Grace) * day
		}
		if !u.Yes {
			a, err := o.User(ctx, u.User)
			if err != nil {
				return err
			}
			sessions, err := o.Sessions(ctx, a.ID)
			if err == nil {
				fmt.Fprintf(t.Out, "This would delete %s (%s) and all its data %s, for good, and end %s at once. Add --yes to do it.\n",
					a.Email, state(a), inDays(wait), terminal.Count(len(sessions), "session"))
			}
			return err
		}
		a, at, err := o.EraseUser(ctx, u.User, wait, t.Origin())
		if err == nil {
			fmt.Fprintf(t.Out, "%s will be deleted at %s. Until then gatehouse user release keeps it.\n", a.Email, at.UTC().Format("2006-01-02 15:04 UTC"))
		}
		return err
	})
}

// inDays says when something will be done.
func inDays(wait time.Duration) string {
	if wait == 0 {
		return "within a few minutes"
	}
	return "in " + terminal.Count(int(wait/day), "day")
}

type releaseCommand struct {
	User string `arg:"" help:"Its id or email address."`
}

func (releaseCommand) Help() string {
	return `An account that was to be deleted stays, and its owner gets a mail that says so. One whose mails wait, since a restore has brought back an address
that its owner had changed, gets them: look first whose the address is.

Example:
  gatehouse user release ada@example.org`
}

// Run keeps the account, and lets its mails go.
func (u releaseCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		a, held, err := o.ReleaseMails(ctx, u.User, t.Origin())
		if err != nil {
			return err
		}
		if held {
			fmt.Fprintf(t.Out, "Mails go to %s again.\n", a.Email)
		}
		a, err = o.KeepUser(ctx, u.User, t.Origin())
		if held && errors.Is(err, flow.ErrNoErasure) {
			return nil
		}
		if err == nil {
			fmt.Fprintf(t.Out, "%s stays.\n", a.Email)
		}
		return err
	})
}
