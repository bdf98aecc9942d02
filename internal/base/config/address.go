package config

import (
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// listener is a field that holds an address to listen on.
func listener(at func(*Config) *string) field {
	return field{
		read: func(r *reading) {
			host, port, err := net.SplitHostPort(r.value)
			_, badPort := strconv.ParseUint(port, 10, 16)
			_, badIP := netip.ParseAddr(host)
			if err != nil || badPort != nil || badIP != nil && host != "" && host != "localhost" {
				r.refuse("It is not an address and a port.", "Write an IP address and a port, such as "+r.setting.initial+" or [::1]:8000.")
				return
			}
			number, _ := strconv.Atoi(port)
			*at(r.c) = net.JoinHostPort(host, strconv.Itoa(number))
		},
		show: func(c *Config) string { return *at(c) },
	}
}

// loopback reports whether the host is this machine only.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// exposed reports whether others than this machine reach the listener.
func exposed(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err != nil || !loopback(host)
}

func warnExposed(r *reading) {
	if !r.c.Production() && exposed(r.setting.field.show(r.c)) && !ownTLS(r) && len(r.c.PrivateNetworks) == 0 {
		r.warn("Other machines can reach this development server, and what they send is unencrypted. Use a loopback address, or " +
			"ENVIRONMENT=production behind a proxy with TLS.")
	}
}

func refuseExposed(r *reading) {
	if !exposed(r.setting.field.show(r.c)) || ownTLS(r) || len(r.c.PrivateNetworks) > 0 {
		return
	}
	mend := "Write " + r.setting.initial
	if r.setting.name == "LISTEN_ADDR" {
		mend += ", and put a proxy with TLS (such as nginx) in front of it on the " +
			"same machine; or give Gatehouse a certificate by TLS_CERT_FILE and TLS_KEY_FILE, or by TLS_ACME_DOMAINS"
	} else {
		mend += ", for probes from this machine (in a container: gatehouse health)"
	}
	mend += "; or name the private network on which plain HTTP is allowed, such as that of your containers, in PRIVATE_NETWORKS."
	r.refuse("It is not a loopback address, and there is no TLS: what is sent would be unencrypted.", mend)
}

// ownTLS reports whether the listener speaks TLS.
func ownTLS(r *reading) bool { return r.c.OwnTLS() }

// AdminTLS reports whether the admin listener speaks TLS, with the certificate of the
// public one: where others than this machine reach it, unless they are in
// PRIVATE_NETWORKS.
func (c *Config) AdminTLS() bool {
	return c.OwnTLS() && exposed(c.AdminListenAddr) && len(c.PrivateNetworks) == 0
}

// privateRanges are the addresses that are routed nowhere: RFC 1918, RFC 4193, RFC 6598,
// loopback and link-local ones.
var privateRanges = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("::1/128"),
}

// readPrivateNetworks accepts only private networks.
func readPrivateNetworks(r *reading) {
	const mend = "Write networks separated by commas, such as 172.18.0.0/16 (docker network inspect shows it), or remove it."
	var networks []netip.Prefix
	for word := range strings.FieldsFuncSeq(r.value, func(c rune) bool { return c == ',' || c == ' ' }) {
		n, ok := readNetwork(word)
		if !ok {
			r.refuse("It contains something that is neither an address nor a network.", mend)
			return
		}
		private := slices.ContainsFunc(privateRanges, func(p netip.Prefix) bool { return p.Overlaps(n) && p.Bits() <= n.Bits() })
		if !private {
			r.refuse("It contains a network that is not private: what is sent there unencrypted can be read on the way.", mend)
			return
		}
		networks = append(networks, n)
	}
	r.c.PrivateNetworks = networks
}

func showPrivateNetworks(c *Config) string {
	var words []string
	for _, n := range c.PrivateNetworks {
		words = append(words, n.String())
	}
	return strings.Join(words, ", ")
}

// listenerURL is the default of PUBLIC_URL. It is empty if LISTEN_ADDR is at
// fault.
func listenerURL(c *Config) string {
	host, port, err := net.SplitHostPort(c.ListenAddr)
	if err != nil {
		return ""
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		// Every address of the machine: this one works on the machine itself.
		host = "localhost"
	} else {
		// The zone of an IPv6 address means nothing in a URL.
		host, _, _ = strings.Cut(host, "%")
	}
	return scheme(c) + net.JoinHostPort(host, port)
}

// hostname is a name in the DNS (RFC 1123 section 2.1), in lower case.
var hostname = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)

// readPublicURL takes an origin (RFC 6454 section 4).
func readPublicURL(r *reading) {
	origin, problem, mend := anOrigin(r.value)
	if problem != "" {
		r.refuse("It "+problem+".", mend)
		return
	}
	r.c.PublicURL = origin
}

// publicURL is the default of PUBLIC_URL: the listener's address, and in
// production the first of CORS_ORIGINS.
func publicURL(c *Config) string {
	if c.Production() && len(c.CORSOrigins) > 0 {
		return c.CORSOrigins[0]
	}
	return listenerURL(c)
}

func safePublicURL(r *reading) {
	const mend = "Write the https address that people use, such as https://auth.example.com."
	switch {
	case r.source == FromDefault && r.c.sources["CORS_ORIGINS"] != FromDefault:
		// It is the first of those, which have been judged.
	case r.source == FromDefault:
		r.refuse("It is required in production.", mend)
	case !strings.HasPrefix(r.c.PublicURL, "https://"):
		r.refuse("It is not https: passwords and tokens would be sent unencrypted.", mend)
	}
}
