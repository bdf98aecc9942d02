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

//go:embed nginx_guard.conf
var nginxGuardText string

// NginxGuard returns the part of a server block that guards an application at an address, such
// as 127.0.0.1:8080, by the Gatehouse at another.
func NginxGuard(gatehouse, application string) string {
	return strings.NewReplacer("GATEHOUSE", gatehouse, "APPLICATION", application, "OWNPATHS", OwnPathsExpression()).Replace(nginxGuardText)
}

// guarded puts the guard of an application in place of the server block's location and
// of what it repeats.
func guarded(text, application string) string {
	before, rest, _ := strings.Cut(text, "    large_client_header_buffers")
	_, rest, _ = strings.Cut(rest, "\n")
	between, rest, _ := strings.Cut(rest, "    location / {\n")
	_, after, _ := strings.Cut(rest, "--guard 127.0.0.1:8080\n")
	// The application's limits are its own.
	between = strings.Replace(between, "    # A little more than Gatehouse takes, so that Gatehouse answers.\n    client_max_body_size 128k;\n", "", 1)
	between = strings.Replace(between, "    # No add_header: Gatehouse sets the security headers on every answer itself.\n", "", 1)
	// So are the limits of what one address may do: those of nginx stay with Gatehouse's own pages.
	const limits = "    limit_req zone=gatehouse_requests burst=100 nodelay;\n    limit_conn gatehouse_connections 64;\n"
	between = strings.Replace(between, limits, "", 1)
	var guard strings.Builder
	for line := range strings.Lines(NginxGuard("gatehouse", application)) {
		if strings.TrimSpace(line) != "" {
			guard.WriteString("    ")
		}
		guard.WriteString(line)
		if strings.HasPrefix(line, "location ~") {
			guard.WriteString(strings.ReplaceAll(limits, "    ", "        "))
		}
	}
	return before + strings.TrimLeft(between, "\n") + guard.String() + after
}

// Nginx returns what nginx needs to stand in front of a Gatehouse with these
// settings, and before an application that it guards, if its address is not empty.
// Without replicas it is in front of the one that these settings are of.
func Nginx(c *config.Config, application string, replicas ...string) (string, error) {
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
	text, console := nginxText, ""
	if c.AdminURL != "" {
		console = nginxConsole(c.AdminURL)
	}
	if application != "" {
		if !isHostPort(application) {
			return "", fault.New(fault.Invalid, "invalid_guard", "This is no address of an application: write host and port, such as 127.0.0.1:8080.")
		}
		text = guarded(text, application)
	}
	servers, err := nginxServers(c, replicas)
	if err != nil {
		return "", err
	}
	text = strings.NewReplacer("PUBLIC", c.PublicURL, "    server UPSTREAM;\n", servers, "PORT", port, "NAME", name).Replace(text) + console
	if len(replicas) > 0 {
		text = strings.ReplaceAll(text, "    client_header_timeout 5s;\n", "    client_header_timeout 5s;\n    proxy_connect_timeout 2s;\n")
	}
	return text, nil
}

// nginxServers are the lines of those to whom nginx sends requests.
func nginxServers(c *config.Config, replicas []string) (lines string, err error) {
	if len(replicas) == 0 {
		return "    server " + nearby(c.ListenAddr) + ";\n", nil
	}
	for _, r := range replicas {
		if !isHostPort(r) {
			return "", fault.New(fault.Invalid, "invalid_replica", "This is no address of a replica: write host and port, such as 10.0.0.11:8000.")
		}
		// Who does not answer is left out for a while, and is asked again then.
		lines += "    server " + r + " max_fails=1 fail_timeout=5s;\n"
	}
	return lines, nil
}

// isHostPort reports whether it may stand as an address in a configuration of nginx.
func isHostPort(address string) bool {
	if _, err := netip.ParseAddrPort(address); err == nil {
		return true
	}
	host, port, err := net.SplitHostPort(address)
	return err == nil && host != "" && port != "" && !strings.ContainsAny(address, " ;{}\\\"'$#\n\r\t/")
}

// nginxConsole is the server blocks of the console on a host of its own, behind those of PUBLIC_URL.
func nginxConsole(adminURL string) string {
	_, blocks, _ := strings.Cut(nginxText, "\nserver {")
	before, rest, _ := strings.Cut(blocks, "\n    # To guard an application")
	_, after, _ := strings.Cut(rest, "--guard 127.0.0.1:8080\n")
	host := strings.TrimPrefix(adminURL, "https://")
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = host, "443"
	}
	return "\n# The console, on a host of its own.\nserver {" + strings.NewReplacer("PUBLIC", adminURL, "PORT", port, "NAME", name).Replace(before+after)
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
