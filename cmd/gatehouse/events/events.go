// Package events is gatehouse events: the commands of the log of security events, one file a command.
package events

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Command is gatehouse events.
type Command struct {
	List   listCommand   `cmd:"" help:"List events, newest first."`
	Tail   tailCommand   `cmd:"" help:"Print events as they are sealed."`
	Show   showCommand   `cmd:"" help:"Show one event, with the proof that it is in the log."`
	Verify verifyCommand `cmd:"" help:"Read the whole log, or an export, and report what was changed."`
	Export exportCommand `cmd:"" help:"Write events to a file, for other programs or for an auditor."`
	Origin originCommand `cmd:"" help:"Show the key that signs the log, or start a new origin."`
	Retire retireCommand `cmd:"" help:"Delete old events. The log still verifies."`
	Erase  eraseCommand  `cmd:"" help:"Delete what identifies a person. The log still verifies."`
}

// Help implements kong.HelpProvider.
func (Command) Help() string {
	return `The log records what happened, to whom, from where, and how it ended. docs/events.md lists the kinds of events, and
docs/guides/events.md explains how the log is protected against tampering.

Example:
  gatehouse events list --since 24h --event failed_login_attempt --network 203.0.113.0/24`
}

// filter is which events are wanted.
type filter struct {
	Since   string   `placeholder:"TIME" help:"Only from this time on: 2026-11-24T12:00:00Z, 2026-11-24, or 90m, 24h or 7d ago."`
	Until   string   `placeholder:"TIME" help:"Only before this time."`
	Account string   `placeholder:"USER" help:"Only this account's: an id or an email address."`
	Network string   `placeholder:"CIDR" help:"Only from this address or network."`
	Event   []string `placeholder:"KIND" help:"Only this kind; can be repeated."`
	Outcome string   `placeholder:"OUTCOME" help:"Only success or failure."`
}

func (f filter) parse(ctx context.Context, o *operate.Operator) (out event.Filter, err error) {
	now := time.Now()
	if out.Since, err = terminal.Moment(f.Since, now); err != nil {
		return out, err
	}
	if out.Until, err = terminal.Moment(f.Until, now); err != nil {
		return out, err
	}
	if f.Network != "" {
		if out.Network, err = terminal.Network(f.Network); err != nil {
			return out, err
		}
	}
	for _, k := range f.Event {
		if !slices.ContainsFunc(event.Catalogue, func(e event.About) bool { return string(e.Kind) == k }) {
			return out, terminal.UsageError(fmt.Sprintf("There is no kind of event called %q. docs/events.md lists them.", k))
		}
		out.Kinds = append(out.Kinds, event.Kind(k))
	}
	switch out.Outcome = event.Outcome(f.Outcome); out.Outcome {
	case "", event.Success, event.Failure:
	default:
		return out, terminal.UsageError("--outcome must be success or failure.")
	}
	if f.Account != "" {
		a, err := o.User(ctx, f.Account)
		if err != nil {
			return out, err
		}
		out.Account = a.ID
	}
	return out, nil
}
