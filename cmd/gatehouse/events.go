package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type eventsCommand struct {
	List   eventsList   `cmd:"" help:"List events, the newest first."`
	Tail   eventsTail   `cmd:"" help:"Print events as they are sealed."`
	Show   eventsShow   `cmd:"" help:"Show one event, with the proof that it is in the log."`
	Verify eventsVerify `cmd:"" help:"Read the whole log, or an export, and report what was changed."`
	Export eventsExport `cmd:"" help:"Write events to a file, for other programs or for an auditor."`
	Origin eventsOrigin `cmd:"" help:"Show under which key the log is signed, or begin a new origin."`
	Retire eventsRetire `cmd:"" help:"Delete old events. The log still verifies."`
	Erase  eventsErase  `cmd:"" help:"Delete what identifies a person. The log still verifies."`
}

func (eventsCommand) Help() string {
	return `What happened, to whom, from where, and how it ended: docs/events.md lists the kinds, docs/guides/events.md explains how the log is protected from being rewritten.

Example:
  gatehouse events list --since 24h --event failed_login_attempt --network 203.0.113.0/24`
}

// eventFilter is which events are wanted.
type eventFilter struct {
	Since   string   `placeholder:"TIME" help:"Only from this time on: 2026-11-24T12:00:00Z, 2026-11-24, or as long ago as 90m, 24h or 7d."`
	Until   string   `placeholder:"TIME" help:"Only before this time."`
	Account string   `placeholder:"USER" help:"Only this account's: its id or its address."`
	Network string   `placeholder:"CIDR" help:"Only from this address or network."`
	Event   []string `placeholder:"KIND" help:"Only this kind; may be repeated."`
	Outcome string   `placeholder:"OUTCOME" help:"Only success or failure."`
}

func (f eventFilter) parse(ctx context.Context, o *flow.Operator) (out event.Filter, err error) {
	now := time.Now()
	if out.Since, err = moment(f.Since, now); err != nil {
		return out, err
	}
	if out.Until, err = moment(f.Until, now); err != nil {
		return out, err
	}
	if f.Network != "" {
		if out.Network, err = network(f.Network); err != nil {
			return out, err
		}
	}
	for _, k := range f.Event {
		if !slices.ContainsFunc(event.Catalogue, func(e event.About) bool { return string(e.Kind) == k }) {
			return out, usageError(fmt.Sprintf("There is no kind of event called %q: docs/events.md lists them.", k))
		}
		out.Kinds = append(out.Kinds, event.Kind(k))
	}
	switch out.Outcome = event.Outcome(f.Outcome); out.Outcome {
	case "", event.Success, event.Failure:
	default:
		return out, usageError("--outcome is success or failure.")
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

// moment reads a time, or how long ago it was.
func moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		s = days + "h"
		if d, err := time.ParseDuration(s); err == nil && d >= 0 {
			return now.Add(-24 * d), nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, usageError(fmt.Sprintf("%q is no time: write 2026-11-24T12:00:00Z, 2026-11-24, or how long ago: 90m, 24h, 7d.", s))
}

// network reads an address or a network.
func network(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, usageError(fmt.Sprintf("%q is no address and no network: write 203.0.113.7 or 2001:db8::/32.", s))
	}
	return p.Masked(), nil
}
