package block

import (
	"net/netip"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// ParseNetwork reads what is to be blocked: an address, or a network in CIDR form. An
// IPv6 address by itself stands for its /64, which is what one subscriber has and
// so what a caller counts as; IPv4 in IPv6's clothes is IPv4.
func ParseNetwork(s string) (netip.Prefix, error) {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return ofAddress(a.Unmap()), nil
	}
	n, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fault.Field("network", "invalid_network",
			"This is no address and no network. Write it like 203.0.113.7, 203.0.113.0/24 or 2001:db8::/48.")
	}
	if n.Addr().Is4In6() {
		if n.Bits() < mapped {
			return netip.Prefix{}, fault.Field("network", "invalid_network", "Write IPv4 networks as IPv4: 203.0.113.0/24.")
		}
		n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-mapped)
	}
	if n.Masked() != n {
		return netip.Prefix{}, fault.Field("network", "invalid_network",
			"The address has bits behind the length of the network: it is either %s or the network %s.", ofAddress(n.Addr()), n.Masked())
	}
	return n, nil
}

// mapped is the length of ::ffff:0:0/96, in which IPv4 addresses stand as IPv6.
const mapped = 96

// subscriber is the length of the IPv6 network that one subscriber has.
const subscriber = 64

func ofAddress(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return netip.PrefixFrom(a, a.BitLen())
	}
	return netip.PrefixFrom(a, subscriber).Masked()
}

// The widest networks that are blocked without asking again: what is wider has
// more subscribers than any attacker.
const (
	widestIPv4 = 8
	widestIPv6 = 19
)

// Wide reports whether a network is so wide that blocking it needs a confirmation.
func Wide(n netip.Prefix) bool {
	if n.Addr().Is4() {
		return n.Bits() < widestIPv4
	}
	return n.Bits() < widestIPv6
}
