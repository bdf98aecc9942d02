package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type sessionRevoke struct {
	User    string `placeholder:"USER" help:"Those of this account: its id or its address."`
	Network string `placeholder:"CIDR" help:"Those whose sign-in came from this network, or address."`
	Before  string `placeholder:"TIME" help:"Those whose sign-in was before this time (RFC 3339)."`
	All     bool   `help:"All sessions of everybody."`
	Yes     bool   `help:"Do it. Without this it only says how many it would end."`
}

func (sessionRevoke) Help() string {
	return `With several of --user, --network and --before it ends the sessions for which all of them hold. Servers that run refuse their tokens
within a second. With --all, whoever signs in within the next two seconds may have to do so again.

Examples:
  gatehouse session revoke --before 2026-11-24T08:00:00Z
  gatehouse session revoke --network 203.0.113.0/24 --yes
  gatehouse session revoke --all --yes`
}

// which reads the flags.
func (s sessionRevoke) which() (w flow.Which, err error) {
	some := s.User != "" || s.Network != "" || s.Before != ""
	if some == s.All {
		return w, usageError("Say which: --user, --network or --before, or else --all.")
	}
	w.Account = s.User
	if s.Network != "" {
		if w.Network, err = parseNetwork(s.Network); err != nil {
			return w, err
		}
	}
	if s.Before != "" {
		if w.Before, err = time.Parse(time.RFC3339, s.Before); err != nil {
			return w, usageError(fmt.Sprintf("%q is no time such as 2026-11-24T08:00:00Z.", s.Before))
		}
		if w.Before.After(now()) {
			return w, usageError("That time is yet to come. To end all sessions until now, say --all.")
		}
	}
	return w, nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
		}
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return p, usageError(fmt.Sprintf("%q is no network such as 203.0.113.0/24 or 2001:db8::/32, and no address.", s))
	}
	return p.Masked(), nil
}

// Run ends the sessions, or says how many it would end.
func (s sessionRevoke) Run(ctx context.Context, t *terminal) error {
	which, err := s.which()
	if err != nil {
		return err
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		if !s.Yes {
			n, err := o.CountSessions(ctx, which)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(t.out, "This would end %s. Say --yes to do it.\n", count(n, "session"))
			return err
		}
		n, err := o.RevokeSessions(ctx, which, t.origin())
		if n > 0 || err == nil {
			fmt.Fprintf(t.out, "Ended %s.\n", count(n, "session"))
		}
		return err
	})
}
