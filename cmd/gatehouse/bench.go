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

	"github.com/gatehouse-auth/gatehouse/internal/bench"
)

type benchCommand struct {
	Scenario string        `arg:"" enum:"refresh,me,login,mix" help:"What the clients do: refresh, me, login or mix."`
	URL      string        `name:"url" default:"http://127.0.0.1:8000" placeholder:"URL" help:"The server (${default})."`
	Clients  int           `default:"32" help:"How many clients, each with a connection and a session of its own (${default})."`
	Rate     float64       `help:"Calls a second, due at fixed times whether or not the ones before were answered. Without it, each client calls again when it has its answer. For mix: of each of the light calls (50)."`
	Duration time.Duration `default:"10s" help:"How long to measure (${default})."`
	Warmup   time.Duration `default:"2s" help:"How long to run before that (${default})."`
	Accounts int           `default:"8" help:"How many accounts to register for the clients to share (${default}). They stay behind."`
	Patient  bool          `help:"Clients that are turned away wait as long as Retry-After says, instead of asking again at once."`
	JSON     bool          `name:"json" help:"Print JSON."`
	Yes      bool          `help:"Don't ask before aiming at another machine."`
}

func (benchCommand) Help() string {
	return `It registers accounts of its own at the server (bench-…@example.org), signs its clients in, and measures:

  refresh  each client trades the refresh token of its last answer for the next one
  me       each client asks who it is
  login    each client signs in
  mix      refresh and me at a fixed rate, while all clients sign in without a pause

With --rate a latency counts from when the call was due, so a server that stands still is told of once for each call that it kept
waiting. Latencies are in milliseconds, and those of refusals (429, 503) are not among them.

A server counts what comes from one network: start the one to be measured with API_RATE_LIMIT_REQUESTS, LOGIN_RATE_LIMIT_ATTEMPTS and
REGISTRATION_RATE_LIMIT_ATTEMPTS at 1000000.

Example:
  gatehouse bench refresh --clients 64 --duration 30s --json`
}

// Run measures.
func (b benchCommand) Run(ctx context.Context, t *terminal) error {
	target, err := url.Parse(b.URL)
	if err != nil || target.Host == "" || strings.Trim(target.Path, "/") != "" {
		return usageError("--url: It must be a server's address without a path, such as https://login.example.net.")
	}
	target.Path = ""
	if b.Clients < 1 || b.Accounts < 1 || b.Rate < 0 || b.Duration <= 0 || b.Warmup < 0 {
		return usageError("--clients and --accounts must be 1 or more, --duration above zero, and --rate and --warmup not below it.")
	}
	if err := b.confirm(t, target); err != nil {
		return err
	}
	report, err := bench.Run(ctx, bench.Plan{
		Target: target, Loads: b.loads(), Accounts: b.Accounts, Warmup: b.Warmup, Duration: b.Duration,
		Progress: func(s string) { fmt.Fprintln(t.err, s) },
	})
	if err != nil {
		return err
	}
	if b.JSON {
		return t.json(report)
	}
	return report.Print(t.out)
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
func (b benchCommand) confirm(t *terminal, target *url.URL) error {
	if b.Yes || isLoopback(target.Hostname()) {
		return nil
	}
	question := fmt.Sprintf("%s is not this machine. The run will register %s there and put as much load on it as it bears for %s.",
		target.Host, count(b.Accounts, "account"), b.Duration+b.Warmup)
	if !isTerminal(t.in) {
		return usageError(question + " If that is yours to do, add --yes.")
	}
	fmt.Fprintf(t.err, "%s\nIs that yours to do? Type yes: ", question)
	line, err := bufio.NewReader(t.in).ReadString('\n')
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
