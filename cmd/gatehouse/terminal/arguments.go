package terminal

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"
)

// Moment reads a time, or how long ago it was: 90m, 24h, 7d. The zero time is that of
// no text.
func Moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if d, ok := duration(s); ok {
		return now.Add(-d), nil
	}
	return time.Time{}, UsageError(fmt.Sprintf("%q is not a time: write 2026-11-24T12:00:00Z, 2026-11-24, or how long ago: 90m, 24h, 7d.", s))
}

// Duration reads how long something lasts: 90m, 24h, 7d. It is false for what is no such
// text, or longer than most.
func Duration(s string, most time.Duration) (time.Duration, bool) {
	d, ok := duration(s)
	return d, ok && d <= most
}

// duration reads what time.ParseDuration does, and whole days.
func duration(s string) (time.Duration, bool) {
	unit := time.Duration(1)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		s, unit = days+"h", 24
	}
	d, err := time.ParseDuration(s)
	return unit * d, err == nil && d >= 0 && d <= math.MaxInt64/unit
}

// Network reads an address, or a network in CIDR form.
func Network(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, UsageError(fmt.Sprintf("%q is not an address or a network: write 203.0.113.7 or 2001:db8::/32.", s))
	}
	return p.Masked(), nil
}
