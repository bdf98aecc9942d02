package app

import (
	_ "embed"
	"net"
	"net/netip"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

//go:embed nginx.conf
var nginxText string

// Nginx returns what nginx needs to stand in front of a Gatehouse with these
// settings.
func Nginx(c *config.Config) (string, error) {
	host, https := strings.CutPrefix(c.PublicURL, "https://")
	switch {
	case c.OwnTLS():
		return "", fault.New(fault.Invalid, "own_tls", "Gatehouse speaks TLS itself by TLS_CERT_FILE or TLS_ACME_DOMAINS: it needs no nginx. Remove those "+
			"settings to have nginx do it.")
	case !https:
		return "", fault.New(fault.Invalid, "no_https", "PUBLIC_URL is not https: set it to the address that people will use, such as https://login.example.org.")
	}
	name, port := host, "443"
	if h, p, err := net.SplitHostPort(host); err == nil {
		name, port = h, p
		if strings.Contains(h, ":") {
			name = "[" + h + "]"
		}
	}
	return strings.NewReplacer("PUBLIC", c.PublicURL, "UPSTREAM", nearby(c.ListenAddr), "PORT", port, "NAME", name).Replace(nginxText), nil
}

// nearby returns an address at which this machine reaches a listener.
func nearby(listenAddr string) string {
	host, port, err := net.SplitHostPort(listenAddr)
	if err != nil {
		return listenAddr
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
