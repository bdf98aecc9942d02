package session

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type endCommand struct {
	ID   string `arg:"" optional:"" help:"The session's id."`
	User string `placeholder:"USER" help:"End all sessions of this account instead."`
	Yes  bool   `help:"Do it. Without it, the command only says what it would do."`
}

func (endCommand) Help() string {
	return `Examples:
  gatehouse session end --yes 0198c0de-0000-7000-8000-000000000001
  gatehouse session end --yes --user ada@example.org`
}

// Run ends the sessions, or says what it would end.
func (s endCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if (s.ID == "") == (s.User == "") {
		return terminal.UsageError("Name a session by its id, or an account with --user.")
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		if s.User != "" {
			return s.endAll(ctx, t, o)
		}
		if !s.Yes {
			return s.report(ctx, t, o)
		}
		if err := o.EndSession(ctx, s.ID, t.Origin()); err != nil {
			return err
		}
		fmt.Fprintf(t.Out, "Ended session %s.\n", s.ID)
		return nil
	})
}

// report says whose session it would end.
func (s endCommand) report(ctx context.Context, t *terminal.Terminal, o *operate.Operator) error {
	a, err := o.SessionOwner(ctx, s.ID)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.Out, "This would end session %s of %s. Add --yes to do it.\n", s.ID, a.Email)
	return err
}

func (s endCommand) endAll(ctx context.Context, t *terminal.Terminal, o *operate.Operator) error {
	if !s.Yes {
		list, err := o.Sessions(ctx, s.User)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.Out, "This would end %s of %s. Add --yes to do it.\n", terminal.Count(len(list), "session"), s.User)
		return nil
	}
	n, err := o.EndSessions(ctx, s.User, t.Origin())
	if err != nil {
		return err
	}
	fmt.Fprintf(t.Out, "Ended %s of %s.\n", terminal.Count(n, "session"), s.User)
	return nil
}
