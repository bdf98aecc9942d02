package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/bench"
)

type benchCommand struct {
	Scenario string        `arg:"" enum:"refresh,me,login,mix" help:"What the clients do: refresh, me, login or mix."`
	URL      string        `name:"url" default:"http://127.0.0.1:8000" placeholder:"URL" help:"The server (${default})."`
	Clients  int           `default:"32" help:"Number of clients, each with its own connection and session (${default})."`
	Rate     float64       `help:"Calls per second, at fixed times. Without it, clients call again once they are answered. For mix: of each light call (50)."`
	Duration time.Duration `default:"10s" help:"How long to measure (${default})."`
	Warmup   time.Duration `default:"2s" help:"How long to run before measuring (${default})."`
	Accounts int           `default:"8" help:"Number of accounts to register, which the clients share (${default}). They are not deleted afterwards."`
	Patient  bool          `help:"Clients that are refused wait as long as Retry-After says instead of retrying at once."`
	JSON     bool          `name:"json" help:"Print JSON."`
	Yes      bool          `help:"Don't ask before load-testing another machine."`
}

func (benchCommand) Help() string {
	return `It registers its own accounts on the server (bench-…@example.org), signs its clients in, and measures:

  refresh  each client exchanges the refresh token of its last answer for the next one
  me       each client calls /v1/me
  login    each client signs in
  mix      refresh and me at a fixed rate, while all clients sign in without a pause

With --rate, latency is measured from when a call was due, so a server that stalls is charged for every call it kept waiting.
Latencies are in milliseconds and leave out refusals (429, 503).

All clients share one network, which the server rate-limits: start the server under test with API_RATE_LIMIT_REQUESTS,
LOGIN_RATE_LIMIT_ATTEMPTS and REGISTRATION_RATE_LIMIT_ATTEMPTS set to 1000000.

Example:
  gatehouse bench refresh --clients 64 --duration 30s --json`
}

// Run measures.
func (b benchCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	target, err := url.Parse(b.URL)
	if err != nil || target.Host == "" || strings.Trim(target.Path, "/") != "" {
		return terminal.UsageError("--url must be the address of a server, without a path, such as https://login.example.net.")
	}
	target.Path = ""
	if b.Clients < 1 || b.Accounts < 1 || b.Rate < 0 || b.Duration <= 0 || b.Warmup < 0 {
		return terminal.UsageError("--clients and --accounts must be at least 1, --duration more than zero, and --rate and --warmup not negative.")
	}
	if err := b.confirm(t, target); err != nil {
		return err
	}
	report, err := bench.Run(ctx, bench.Plan{
		Target: target, Loads: b.loads(), Accounts: b.Accounts, Warmup: b.Warmup, Duration: b.Duration,
		Progress: func(s string) { fmt.Fprintln(t.Err, s) },
	})
	if err != nil {
		return err
	}
	if b.JSON {
		return t.JSON(report)
	}
	return report.Print(t.Out)
}

func (b benchCommand) loads() []bench.Load {
	if b.Scenario != "mix" {
		return []bench.Load{{Scenario: bench.Scenario(b.Scenario), Clients: b.Clients, Rate: b.Rate, Patient: b.Patient}}
	}
	rate := b.Rate
	if rate == 0 {
		rate = 50
	}
	return []bench.Load{
		{Scenario: bench.Refresh, Clients: 16, Rate: rate},
		{Scenario: bench.Me, Clients: 16, Rate: rate},
		{Scenario: bench.Login, Clients: b.Clients, Patient: b.Patient},
	}
}

// confirm asks before a load is put on another machine: to its owner it would
// be an attack.
func (b benchCommand) confirm(t *terminal.Terminal, target *url.URL) error {
	if b.Yes || isLoopback(target.Hostname()) {
		return nil
	}
	question := fmt.Sprintf("%s is not this machine. This will register %s there and put as much load on it as it can take for %s.",
		target.Host, terminal.Count(b.Accounts, "account"), b.Duration+b.Warmup)
	if !terminal.IsTerminal(t.In) {
		return terminal.UsageError(question + " If you are allowed to do that, add --yes.")
	}
	fmt.Fprintf(t.Err, "%s\nAre you allowed to do that? Type yes: ", question)
	line, err := bufio.NewReader(t.In).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "yes" {
		return errors.New("nothing was done")
	}
	return nil
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
