package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/bench"
)

// calls are clients that do one thing.
type calls struct {
	owner
	URL      string        `name:"url" default:"http://127.0.0.1:8000" placeholder:"URL" help:"The server (${default})."`
	Clients  int           `default:"32" help:"Number of clients, each with its own connection and session (${default})."`
	Duration time.Duration `default:"10s" help:"How long to measure (${default}), an hour at most."`
	Warmup   time.Duration `default:"2s" help:"How long to run before measuring (${default})."`
	Accounts int           `default:"8" help:"Number of accounts to register, which the clients share (${default}). They are not deleted afterwards."`
	Rate     float64       `help:"Calls a second, at fixed times. Without it clients call again once they are answered. For mix: of each light call (50)."`
	Patient  bool          `help:"Clients that are refused wait as long as Retry-After says instead of retrying at once."`
	JSON     bool          `name:"json" help:"Print JSON."`
}

const callsHelp = `With --rate, latency is measured from when a call was due, so a server that stalls is charged for every call it kept waiting.
Latencies are in milliseconds and leave out refusals (429, 503).

Example:
  gatehouse bench `

type refreshCommand struct{ calls }

func (refreshCommand) Help() string {
	return "Each client trades the refresh token of its last answer for the next one.\n\n" + callsHelp + "refresh --clients 64 --duration 30s --json"
}

// Run measures.
func (c refreshCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.run(ctx, t, c.one(bench.Refresh))
}

type meCommand struct{ calls }

func (meCommand) Help() string {
	return "Each client asks who it is signed in as.\n\n" + callsHelp + "me --rate 200"
}

// Run measures.
func (c meCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.run(ctx, t, c.one(bench.Me))
}

type loginCommand struct{ calls }

func (loginCommand) Help() string {
	return "Each client signs in with its password, again and again.\n\n" + callsHelp + "login --clients 4 --patient"
}

// Run measures.
func (c loginCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return c.run(ctx, t, c.one(bench.Login))
}

type mixCommand struct{ calls }

func (mixCommand) Help() string {
	return "It shows whether a flood of sign-ins slows anything else.\n\n" + callsHelp + "mix --rate 50"
}

// Run measures.
func (c mixCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	rate := c.Rate
	if rate == 0 {
		rate = 50
	}
	return c.run(ctx, t, []bench.Load{
		{Scenario: bench.Refresh, Clients: 16, Rate: rate},
		{Scenario: bench.Me, Clients: 16, Rate: rate},
		{Scenario: bench.Login, Clients: c.Clients, Patient: c.Patient},
	})
}

func (c calls) one(s bench.Scenario) []bench.Load {
	return []bench.Load{{Scenario: s, Clients: c.Clients, Rate: c.Rate, Patient: c.Patient}}
}

func (c calls) run(ctx context.Context, t *terminal.Terminal, loads []bench.Load) error {
	target, err := c.parseTarget(c.URL, "--url")
	if err != nil {
		return err
	}
	if c.Clients < 1 || c.Clients > bench.MostConnections || c.Accounts < 1 || !(c.Rate >= 0) || c.Duration <= 0 || c.Duration > bench.MostDuration ||
		c.Warmup < 0 || c.Warmup > bench.MostDuration {
		return terminal.UsageError(fmt.Sprintf("--clients is 1 to %d, --accounts at least 1, --duration above zero and %s at most, --rate and --warmup not negative.",
			bench.MostConnections, bench.MostDuration))
	}
	report, err := bench.Run(ctx, bench.Plan{
		Target: target, Loads: loads, Accounts: c.Accounts, Warmup: c.Warmup, Duration: c.Duration,
		Progress: func(s string) { fmt.Fprintln(t.Err, s) },
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return t.JSON(report)
	}
	return report.Print(t.Out)
}
