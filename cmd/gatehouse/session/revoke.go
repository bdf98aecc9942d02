package session

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type revokeCommand struct {
	User    string `placeholder:"USER" help:"Sessions of this account: its id or email address."`
	Network string `placeholder:"CIDR" help:"Sessions whose sign-in came from this network or address."`
	Before  string `placeholder:"TIME" help:"Sessions whose sign-in was before this time (RFC 3339)."`
	All     bool   `help:"Everybody's sessions."`
	Yes     bool   `help:"Do it. Without it, the command only says how many it would end."`
}

func (revokeCommand) Help() string {
	return `If you combine --user, --network and --before, only sessions that match all of them are ended. Running servers refuse their tokens
within a second. With --all, people who sign in within the next two seconds may have to do so again. What applications were
granted under the sessions ends with them, offline access included.

Examples:
  gatehouse session revoke --before 2026-11-24T08:00:00Z
  gatehouse session revoke --network 203.0.113.0/24 --yes
  gatehouse session revoke --all --yes`
}

// which reads the flags.
func (s revokeCommand) which() (w operate.Which, err error) {
	some := s.User != "" || s.Network != "" || s.Before != ""
	if some == s.All {
		return w, terminal.UsageError("Choose the sessions with --user, --network or --before, or use --all.")
	}
	w.Account = s.User
	if s.Network != "" {
		if w.Network, err = terminal.Network(s.Network); err != nil {
			return w, err
		}
	}
	if s.Before != "" {
		if w.Before, err = time.Parse(time.RFC3339, s.Before); err != nil {
			return w, terminal.UsageError(fmt.Sprintf("%q is not a time: write it like 2026-11-24T08:00:00Z.", s.Before))
		}
		if w.Before.After(time.Now()) {
			return w, terminal.UsageError("That time is in the future. To end all sessions up to now, use --all.")
		}
	}
	return w, nil
}

// Run ends the sessions, or says how many it would end.
func (s revokeCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	which, err := s.which()
	if err != nil {
		return err
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		if !s.Yes {
			n, err := o.CountSessions(ctx, which)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(t.Out, "This would end %s. Add --yes to do it.\n", terminal.Count(n, "session"))
			return err
		}
		n, err := o.RevokeSessions(ctx, which, t.Origin())
		if n > 0 || err == nil {
			fmt.Fprintf(t.Out, "Ended %s.\n", terminal.Count(n, "session"))
		}
		return err
	})
}
