package config

import (
	"net"
	"net/netip"
	"regexp"
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
	if !r.c.Production() && exposed(r.setting.field.show(r.c)) && !ownTLS(r) {
		r.warn("Other machines can reach this development server, and what they send travels in the clear. Use a loopback address, or " +
			"ENVIRONMENT=production behind a proxy with TLS.")
	}
}

func refuseExposed(r *reading) {
	if !exposed(r.setting.field.show(r.c)) || ownTLS(r) {
		return
	}
	mend := "Write " + r.setting.initial + ", and put a proxy that speaks TLS (such as nginx) in front of it on the same machine"
	if r.setting.name == "LISTEN_ADDR" {
		mend += "; or give Gatehouse a certificate by TLS_CERT_FILE and TLS_KEY_FILE, or by TLS_ACME_DOMAINS"
	}
	r.refuse("It is not a loopback address, and speaks no TLS: what is sent would travel in the clear.", mend+".")
}

// ownTLS reports whether the listener speaks TLS. The admin's never does.
func ownTLS(r *reading) bool { return r.setting.name == "LISTEN_ADDR" && r.c.OwnTLS() }

// listenerURL is the default of PUBLIC_URL. It is empty if LISTEN_ADDR is at
// fault.
func listenerURL(c *Config) string {
	host, port, err := net.SplitHostPort(c.ListenAddr)
	if err != nil {
		return ""
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		// Every address of the machine: this one works for whoever sits at it.
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
		r.refuse("It is not https: passwords and tokens would travel in the clear.", mend)
	}
}
