package main

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type sessionCommand struct {
	List sessionList `cmd:"" help:"List an account's living sessions, the latest used first."`
	End  sessionEnd  `cmd:"" help:"End one session, or all of an account's."`

	Revoke sessionRevoke `cmd:"" help:"End all sessions that began before a time, came from a network, or are at all."`
}

func (sessionCommand) Help() string {
	return `A server that runs refuses all tokens of an ended session within a second.

Example:
  gatehouse session list ada@example.org`
}

// sessionJSON is a session for programs.
type sessionJSON struct {
	ID        string    `json:"id"`
	Account   string    `json:"account_id"`
	Device    string    `json:"device"`
	Network   string    `json:"network"`
	FirstUsed time.Time `json:"first_used_at"`
	LastUsed  time.Time `json:"last_used_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

func newSessionsJSON(list []session.Info) []sessionJSON {
	out := make([]sessionJSON, 0, len(list))
	for _, s := range list {
		out = append(out, sessionJSON{
			ID: s.ID, Account: s.Account, Device: s.UserAgent, Network: s.Address,
			FirstUsed: s.BeganAt, LastUsed: s.UsedAt, ExpiresAt: s.EndsAt,
		})
	}
	return out
}

type sessionList struct {
	User string `arg:"" help:"The account's id or address."`
	JSON bool   `name:"json" help:"Print JSON, one session a line."`
}

func (sessionList) Help() string { return "Example:\n  gatehouse session list ada@example.org" }

// Run lists the sessions.
func (s sessionList) Run(ctx context.Context, t *terminal) error {
	return t.operator(ctx, func(o *flow.Operator) error {
		list, err := o.Sessions(ctx, s.User)
		if err != nil {
			return err
		}
		if s.JSON {
			return jsonLines(t, newSessionsJSON(list))
		}
		if len(list) == 0 {
			fmt.Fprintf(t.err, "%s has no living sessions.\n", s.User)
			return nil
		}
		lines := [][]string{{"ID", "NETWORK", "FIRST USED", "LAST USED", "EXPIRES", "DEVICE"}}
		for _, i := range list {
			lines = append(lines, []string{i.ID, i.Address, day(i.BeganAt), day(i.UsedAt), day(i.EndsAt), i.UserAgent})
		}
		return t.table(lines)
	})
}

type sessionEnd struct {
	ID   string `arg:"" optional:"" help:"The session's id."`
	User string `placeholder:"USER" help:"End all sessions of this account instead."`
	Yes  bool   `help:"Do it. Without this it only says what it would do."`
}

func (sessionEnd) Help() string {
	return `Examples:
  gatehouse session end --yes 0198c0de-0000-7000-8000-000000000001
  gatehouse session end --yes --user ada@example.org`
}

// Run ends the sessions, or says what it would end.
func (s sessionEnd) Run(ctx context.Context, t *terminal) error {
	if (s.ID == "") == (s.User == "") {
		return usageError("Name either a session's id or --user with an account.")
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		if s.User != "" {
			return s.endAll(ctx, t, o)
		}
		if !s.Yes {
			return s.report(ctx, t, o)
		}
		if err := o.EndSession(ctx, s.ID, t.origin()); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "Ended session %s.\n", s.ID)
		return nil
	})
}

// report says whose session it would end.
func (s sessionEnd) report(ctx context.Context, t *terminal, o *flow.Operator) error {
	a, err := o.SessionOwner(ctx, s.ID)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "This would end session %s of %s. Say --yes to do it.\n", s.ID, a.Email)
	return err
}

func (s sessionEnd) endAll(ctx context.Context, t *terminal, o *flow.Operator) error {
	if !s.Yes {
		list, err := o.Sessions(ctx, s.User)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "This would end %s of %s. Say --yes to do it.\n", count(len(list), "session"), s.User)
		return nil
	}
	n, err := o.EndSessions(ctx, s.User, t.origin())
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "Ended %s of %s.\n", count(n, "session"), s.User)
	return nil
}
