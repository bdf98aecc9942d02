package bench

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/bench"
)

type peopleCommand struct {
	owner
	URL     string  `name:"url" default:"http://127.0.0.1:8000" placeholder:"URL" help:"The server (${default})."`
	Against string  `placeholder:"URL" help:"Another server, to be compared: both are measured in turns, with the same people."`
	Rate    float64 `default:"2" help:"How many people arrive in a second, on average (${default}), 2000 at most."`

	Duration time.Duration `default:"30s" help:"How long to measure, or with --ramp each rate (${default}), an hour at most."`
	Warmup   time.Duration `default:"10s" help:"How long to run before measuring (${default}). Longer than a visit, or few are at their end yet."`
	Turns    int           `default:"2" help:"How often each of two servers is measured (${default})."`

	Ramp bool          `help:"Raise the rate until the server falls behind, and find the knee."`
	Most float64       `default:"200" help:"With --ramp: the rate at which it ends (${default})."`
	P99  time.Duration `name:"p99" default:"1s" help:"With --ramp: what one call in a hundred may exceed, of any kind, at a rate that is carried (${default})."`

	New       float64       `default:"0.01" help:"Share of visits that begin with a registration (${default}): each makes an account, which stays behind."`
	Returning float64       `default:"0.6" help:"Share of visits of somebody who is still signed in, and begins with a refresh (${default}). The others sign in."`
	Checks    float64       `default:"6" help:"How many checks (/v1/me) a visit has, on average (${default})."`
	Refreshes float64       `default:"1" help:"How many refreshes a visit has, besides the first, on average (${default})."`
	Leaving   float64       `default:"0.3" help:"Share of visits that end with a sign-out (${default})."`
	Think     time.Duration `default:"500ms" help:"Time between an answer and the next call, on average (${default})."`

	Prefix   string `default:"bench" help:"What the addresses of the accounts begin with that it registers (${default})."`
	Accounts int    `help:"How many accounts to register (as many as the visits need)."`
	People   string `placeholder:"PATH" help:"Register nobody: take the people of this CSV file, an address and a password a line."`

	Connections int     `default:"100" help:"Connections to a server, at most (${default}). A call waits for a free one, and its latency has that in it."`
	MostErrors  float64 `default:"0.1" help:"Stop when this share of the last 100 calls went wrong (${default})."`
	Seed        uint64  `default:"1" help:"Decides who arrives when, and does what (${default}): the same seed makes the same run."`
	DryRun      bool    `help:"Say what it would do, and do nothing."`
	JSON        bool    `name:"json" help:"Print JSON."`
	HTML        string  `name:"html" placeholder:"PATH" help:"Write a report with plots to this file: one page that needs nothing else."`
}

func (peopleCommand) Help() string {
	return `People arrive at --rate whether or not those before them were served (an open loop: a slow server is not spared), and each makes a visit:
a registration and a sign-in, a sign-in, or the refresh of a session that was kept; then checks and refreshes; and a sign-out, or none.
Latencies count from when a call was due, and leave out refusals (429, 503), which are counted. A 503 is tried again as its Retry-After says.

It says what it will do before it does it, and stops when too many calls go wrong.

Examples:
  gatehouse bench people --rate 5 --html report.html
  gatehouse bench people --ramp --p99 500ms
  gatehouse bench people --rate 20 --url http://127.0.0.1:8000 --against http://127.0.0.1:8001 --html both.html`
}

// Run measures.
func (p peopleCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	c, err := p.crowd()
	if err != nil {
		return err
	}
	fmt.Fprintln(t.Err, p.announcement(c))
	if p.DryRun {
		return nil
	}
	c.Progress = func(s string) { fmt.Fprintln(t.Err, s) }
	var result bench.Visits
	if p.Ramp {
		result, err = c.FindKnee(ctx, bench.Ramp{Most: p.Most, P99: p.P99})
	} else {
		result, err = c.Run(ctx)
	}
	if len(result.Sides) > 0 && len(result.Sides[0].Spells) > 0 { // also of a run that was broken off
		err = errors.Join(err, p.write(t, result))
	}
	if err != nil {
		return err
	}
	for _, side := range result.Sides {
		for _, s := range side.Spells {
			if s.Stopped != "" && !p.Ramp {
				return fmt.Errorf("the run at %s was stopped: %s", side.Target, s.Stopped)
			}
		}
	}
	return nil
}

func (p peopleCommand) crowd() (*bench.Crowd, error) {
	target, err := p.parseTarget(p.URL, "--url")
	if err != nil {
		return nil, err
	}
	c := &bench.Crowd{
		Targets: []*url.URL{target}, Rate: p.Rate, Accounts: p.Accounts, Prefix: p.Prefix, Connections: p.Connections,
		Mix:    bench.Mix{New: p.New, Returning: p.Returning, Checks: p.Checks, Refreshes: p.Refreshes, Leaving: p.Leaving, Think: p.Think},
		Warmup: p.Warmup, Duration: p.Duration, Turns: 1, MostErrors: p.MostErrors, Seed: p.Seed,
	}
	if p.Against != "" {
		other, err := p.parseTarget(p.Against, "--against")
		if err != nil {
			return nil, err
		}
		c.Targets, c.Turns = append(c.Targets, other), p.Turns
	}
	if !prefixes.MatchString(p.Prefix) {
		return nil, terminal.UsageError("--prefix is 1 to 20 of a to z, digits and hyphens.")
	}
	if p.People != "" {
		if c.People, err = readPeople(p.People); err != nil {
			return nil, err
		}
	}
	highest := p.Rate
	if p.Ramp {
		highest = max(p.Rate, p.Most)
	}
	if needed := c.Mix.AccountsFor(highest); c.Accounts == 0 {
		c.Accounts = min(needed, 500)
	}
	if err := c.Check(); err != nil {
		return nil, terminal.UsageError(err.Error() + ".")
	}
	return c, nil
}

// announcement says what will be done.
func (p peopleCommand) announcement(c *bench.Crowd) string {
	var b strings.Builder
	for i, target := range c.Targets {
		if i > 0 {
			b.WriteString(" and ")
		}
		b.WriteString(target.String())
	}
	b.WriteString(": ")
	if p.Ramp {
		fmt.Fprintf(&b, "people arrive at %g a second, then at more and more up to %g, for %s each.", c.Rate, p.Most, c.Warmup+c.Duration)
	} else {
		fmt.Fprintf(&b, "%g people a second arrive for %s", c.Rate, c.Warmup+c.Duration)
		if c.Turns > 1 {
			fmt.Fprintf(&b, ", in %d turns at each", c.Turns)
		}
		b.WriteString(".")
	}
	b.WriteString(" A second of them makes about")
	per := c.Mix.PerVisit()
	for i, act := range bench.Acts() {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, " %.3g × %s", per[act]*c.Rate, act)
	}
	b.WriteString(".")
	if len(c.People) == 0 {
		fmt.Fprintf(&b, " Before, %s are registered, %s-…@example.org, which stay behind", terminal.Count(c.Accounts, "account"), c.Prefix)
	} else {
		fmt.Fprintf(&b, " %s of %s sign in", terminal.Plural(int64(len(c.People)), "person", "people"), p.People)
	}
	if c.Mix.New > 0 && !p.Ramp {
		fmt.Fprintf(&b, "; about %.0f more register", per[bench.ActRegister]*c.Rate*(c.Warmup+c.Duration).Seconds()*float64(c.Turns))
	}
	fmt.Fprintf(&b, ". It stops when %.0f%% of the last 100 calls went wrong, or at ^C.", c.MostErrors*100)
	return b.String()
}

func (p peopleCommand) write(t *terminal.Terminal, v bench.Visits) (err error) {
	if p.HTML != "" {
		f, err := os.OpenFile(p.HTML, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644) //nolint:gosec // a report, which has no secret in it, where it was asked for
		if err != nil {
			return err
		}
		if err := errors.Join(v.HTML(f), f.Close()); err != nil {
			return err
		}
	}
	if p.JSON {
		return t.JSON(v)
	}
	return v.Print(t.Out)
}

// prefixes are what an address may begin with, and still be seen to be of a run.
var prefixes = regexp.MustCompile(`^[a-z0-9-]{1,20}$`)

// readPeople reads a CSV file of addresses and passwords.
func readPeople(path string) ([]bench.Person, error) {
	f, err := os.Open(path) //nolint:gosec // the operator's own file
	if err != nil {
		return nil, terminal.UsageError("--people: " + err.Error())
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = 2
	var people []bench.Person
	for n := 1; ; n++ {
		line, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || line[0] == "" || line[1] == "" {
			return nil, terminal.UsageError(fmt.Sprintf("--people: entry %d of %s is no address and password", n, path)) // not its text, which has one
		}
		people = append(people, bench.Person{Email: line[0], Password: line[1]})
	}
	if len(people) == 0 {
		return nil, terminal.UsageError("--people: " + path + " has nobody in it")
	}
	return people, nil
}
