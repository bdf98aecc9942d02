// Package bench is gatehouse bench: load on a running server, and what a
// deployment needs for the load that it will have.
package bench

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
)

// Command is gatehouse bench.
type Command struct {
	People  peopleCommand  `cmd:"" help:"Have people arrive, sign in, refresh, check and leave, as in life."`
	Refresh refreshCommand `cmd:"" help:"Clients that do nothing but refresh."`
	Me      meCommand      `cmd:"" help:"Clients that do nothing but call /v1/me."`
	Login   loginCommand   `cmd:"" help:"Clients that do nothing but sign in."`
	Mix     mixCommand     `cmd:"" help:"Refreshes and checks at a fixed rate, while all clients sign in without a pause."`
	Plan    planCommand    `cmd:"" help:"Say what a deployment needs: cores, connections, disk, Redis."`
}

// Help implements kong.HelpProvider.
func (Command) Help() string {
	return `It registers accounts of its own at the server (bench-…@example.org, which stay behind; --prefix) or takes those of --people, and
measures. It goes to this machine only: for another one, say with --yes-i-run-this-server that it is yours.

All its calls come from one network, which the server limits: start the server under test with API_RATE_LIMIT_REQUESTS,
LOGIN_RATE_LIMIT_ATTEMPTS and REGISTRATION_RATE_LIMIT_ATTEMPTS set to 1000000. docs/guides/load-testing.md has the rest.

Examples:
  gatehouse bench people --rate 5 --html report.html
  gatehouse bench refresh --clients 64 --duration 30s --json`
}

// owner is the flag by which somebody says that a server is theirs.
type owner struct {
	Mine bool `name:"yes-i-run-this-server" help:"The server is mine, or I was asked by who runs it: load it, although it is not this machine."`
}

// parseTarget reads an address, and refuses one of another machine unless its owner has agreed: to an owner who has not, a load is an attack.
func (o owner) parseTarget(address, flag string) (*url.URL, error) {
	target, err := url.Parse(address)
	if err != nil || target.Scheme != "http" && target.Scheme != "https" || target.Host == "" || target.User != nil ||
		strings.Trim(target.Path, "/") != "" || target.RawQuery != "" {
		return nil, terminal.UsageError(flag + " must be the address of a server, without a path, such as https://login.example.net.")
	}
	target.Path = ""
	if !o.Mine && !isLoopback(target.Hostname()) {
		return nil, terminal.UsageError(fmt.Sprintf(
			"%s is not this machine. If you run that server, or were asked to by who does, add --yes-i-run-this-server.", target.Host))
	}
	return target, nil
}

// isLoopback reports whether a host is this machine for certain. A name is
// asked nobody about: only localhost is known.
func isLoopback(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.IsLoopback()
	}
	return host == "localhost" && allLoopback(host)
}

func allLoopback(host string) bool {
	ips, err := net.LookupIP(host)
	for _, ip := range ips {
		if !ip.IsLoopback() {
			return false
		}
	}
	return err == nil && len(ips) > 0
}
