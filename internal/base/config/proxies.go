package config

import (
	"net/netip"
	"slices"
	"strings"
)

// The words of TRUSTED_PROXIES.
const (
	noProxies         = "none"
	cloudflareProxies = "cloudflare"
)

// defaultProxies trusts the machine itself where nobody else can connect.
func defaultProxies(c *Config) string {
	if c.Production() && c.ListenAddr != "" && !exposed(c.ListenAddr) {
		return "127.0.0.0/8, ::1"
	}
	return noProxies
}

// The widest networks that are anybody's own: 10.0.0.0/8, and fc00::/7. One
// that is wider would let strangers say who they are.
const (
	widestIPv4 = 8
	widestIPv6 = 7
)

func readProxies(r *reading) {
	const mend = "Write addresses and networks separated by commas, such as 10.0.0.5, 192.168.7.0/24; or cloudflare; or none."
	var networks []netip.Prefix
	cloudflare := false
	for word := range strings.FieldsFuncSeq(r.value, func(c rune) bool { return c == ',' || c == ' ' }) {
		switch {
		case strings.EqualFold(word, cloudflareProxies):
			cloudflare = true
			continue
		case strings.EqualFold(word, noProxies):
			if !strings.EqualFold(r.value, noProxies) {
				r.refuse("none is combined with others.", mend)
				return
			}
			continue
		}
		n, ok := readNetwork(word)
		switch {
		case !ok:
			r.refuse("It contains something that is neither an address nor a network.", mend)
			return
		case n.Addr().Is4() && n.Bits() < widestIPv4, n.Addr().Is6() && n.Bits() < widestIPv6:
			r.refuse("It contains a network that is too wide to be yours: strangers in it could claim to be someone else.", mend)
			return
		}
		if !slices.Contains(networks, n) {
			networks = append(networks, n)
		}
	}
	r.c.TrustedProxies, r.c.CloudflareProxies = networks, cloudflare
}

// readNetwork reads an address or a CIDR; IPv4 in IPv6's clothes is IPv4.
func readNetwork(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	n, err := netip.ParsePrefix(s)
	if err != nil || n.Addr().Is4In6() {
		return netip.Prefix{}, false
	}
	return n.Masked(), true
}

func showProxies(c *Config) string {
	var words []string
	for _, n := range c.TrustedProxies {
		if n.IsSingleIP() {
			words = append(words, n.Addr().String())
		} else {
			words = append(words, n.String())
		}
	}
	if c.CloudflareProxies {
		words = append(words, cloudflareProxies)
	}
	if len(words) == 0 {
		return noProxies
	}
	return strings.Join(words, ", ")
}
