package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

type doctorCommand struct {
	Format   doctor.Format   `enum:"text,json,sarif,html,markdown" default:"text" help:"How the report is written: ${enum}."`
	FailOn   doctor.Severity `enum:"low,medium,high,critical" default:"high" help:"Exit with 1 if a check of this severity or above failed: ${enum}."`
	Baseline string          `placeholder:"FILE" help:"The risks that are accepted: JSON, see docs/guides/doctor.md. Without it those of DOCTOR_BASELINE_FILE."`
	URL      string          `name:"url" placeholder:"ADDRESS" help:"Look at the service from outside as well, at its https address."`
	CA       string          `name:"ca" placeholder:"FILE" help:"With --url: believe the authorities in this PEM file alone."`
	Connect  string          `placeholder:"HOST:PORT" help:"With --url: connect to this, whatever DNS says."`
	Guarded  []string        `placeholder:"ADDRESS" help:"With --url: an https address behind the proxy that strangers must not reach; can be repeated."`
	Echo     string          `placeholder:"ADDRESS" help:"With --url: an https address behind the proxy that answers with the headers it was sent."`
	Cookies  string          `placeholder:"FILE" help:"With --echo: the file with the Cookie header of somebody who is signed in."`
	Probe    bool            `help:"With --url: have limits really tried, which uses up those of this machine's address."`
	Watch    time.Duration   `placeholder:"1h" help:"Go on looking, as often as this, and print what turns; the server's alert posture tells it too."`
	Evidence string          `placeholder:"DIR" help:"Write a dated, signed bundle for an auditor into a new folder there."`
	Verify   string          `placeholder:"FOLDER" help:"Look at nothing, and verify such a bundle; on any machine."`
	Key      string          `placeholder:"KEY" help:"With --verify: the public key that must have signed it, as --evidence printed it."`
	Only     []string        `placeholder:"CHECK" help:"Ask only this check (DB-1/tls) or line of the guide (DB-1); can be repeated."`
	List     bool            `help:"List all checks, and ask none."`
}

func (doctorCommand) Help() string {
	return `It judges the deployment with these settings as it is: the settings in force, the database, the keys, the server on this machine, the work in
the background, the backups, and the administrators; with --url also the service as a stranger sees it. It changes nothing and shows no
secret. What it could not check, it says.

docs/checks.md lists every check with the controls of the standards that it speaks to. It exits with 1 if something failed that weighs as
much as --fail-on, or could not be checked.

Examples:
  gatehouse doctor --env-file /etc/gatehouse/env
  gatehouse doctor --url https://auth.example.com --only NET-1
  gatehouse doctor --url https://auth.example.com --probe --guarded https://app.example.com/private
  gatehouse doctor --format html > report.html
  gatehouse doctor --url https://auth.example.com --evidence /var/lib/gatehouse/evidence
  gatehouse doctor --url https://auth.example.com --watch 1h
  gatehouse doctor --format sarif --baseline accepted.json --fail-on medium`
}

// errUnwell is for a report with something grave in it.
var errUnwell = errors.New("something is wrong, or could not be checked: see the report")

// Run asks, and prints the report.
func (c doctorCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if c.Verify != "" || c.Key != "" {
		return c.verify(t)
	}
	settings, _, err := t.Settings()
	if err != nil {
		return err
	}
	d, why := app.OpenExamined(ctx, settings)
	if d != nil {
		defer d.Close()
	}
	outside, err := c.outside(settings)
	if err != nil {
		return err
	}
	e := app.Deployment{Config: settings, DB: d, Why: why, Now: time.Now, Outside: outside, Version: version(), Built: app.BuiltAt(built)}
	all := e.Checks()
	checks, err := c.wanted(all)
	if err != nil {
		return err
	}
	if c.List {
		return listChecks(t, checks)
	}
	accepted, baseline, err := c.accepted(e, all)
	if err != nil {
		return err
	}
	if c.Watch > 0 {
		return c.watch(ctx, t, d, why, func() ([]doctor.Check, error) {
			if e.Outside, err = c.outside(settings); err != nil { // what it saw before is no answer now
				return nil, err
			}
			return c.wanted(e.Checks())
		}, accepted)
	}
	report := doctor.Run(ctx, checks, time.Now())
	report.Version, report.Service = version(), settings.ServiceName
	report.Accept(accepted)
	if err := report.Write(t.Out, c.Format); err != nil {
		return err
	}
	if c.Evidence != "" {
		bundle, err := app.EvidenceOf(ctx, settings, d, why)
		if err != nil {
			return err
		}
		if err := c.hand(t, report, bundle, baseline); err != nil {
			return err
		}
	}
	if report.Worst(c.FailOn) || report.Count(doctor.Unknown) > 0 {
		return errUnwell
	}
	return ctx.Err()
}

func listChecks(t *terminal.Terminal, checks []doctor.Check) error {
	lines := [][]string{{"CHECK", "SEVERITY", "WHAT IS SO WHERE ALL IS WELL"}}
	for _, one := range checks {
		lines = append(lines, []string{one.Rule(), string(one.Severity), one.Title})
	}
	return t.Table(lines)
}

// outside is where --url leads, or nil.
func (c doctorCommand) outside(settings *config.Config) (*app.Outside, error) {
	if c.URL == "" {
		if c.CA != "" || c.Connect != "" || len(c.Guarded) > 0 || c.Echo != "" || c.Probe {
			return nil, terminal.UsageError("--ca, --connect, --guarded, --echo and --probe are for --url")
		}
		return nil, nil
	}
	if (c.Echo == "") != (c.Cookies == "") {
		return nil, terminal.UsageError("--echo and --cookies are for one another")
	}
	var authorities, cookies []byte
	var err error
	if c.CA != "" {
		if authorities, err = os.ReadFile(c.CA); err != nil {
			return nil, err
		}
	}
	if c.Cookies != "" {
		if cookies, err = os.ReadFile(c.Cookies); err != nil {
			return nil, err
		}
	}
	o, err := app.NewOutside(c.URL, authorities, time.Now)
	if err != nil {
		return nil, err
	}
	o.Connect, o.Guarded, o.Echo, o.Origins = c.Connect, c.Guarded, c.Echo, settings.CORSOrigins
	o.Console = settings.AdminURL
	o.Cookies = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(string(cookies)), "Cookie:"))
	if host, _, err := net.SplitHostPort(c.Connect); err == nil {
		o.ConnectPlain = net.JoinHostPort(host, "80")
	}
	if c.Probe {
		o.Probe = &app.Probe{SignIns: settings.LoginLimit.Count}
	}
	return o, nil
}

// accepted reads the risks that are accepted.
func (c doctorCommand) accepted(e app.Deployment, all []doctor.Check) (doctor.Baseline, []byte, error) {
	if c.Baseline == "" {
		list, text, err := e.Accepted(all)
		if err != nil {
			return nil, nil, nil //nolint:nilerr // a check says so
		}
		return list, text, nil
	}
	text, err := os.ReadFile(c.Baseline)
	if err != nil {
		return nil, nil, err
	}
	list, err := doctor.ReadBaseline(text, all, time.Now())
	return list, text, err
}

// wanted are the checks that --only names.
func (c doctorCommand) wanted(all []doctor.Check) ([]doctor.Check, error) {
	if len(c.Only) == 0 {
		return all, nil
	}
	var out []doctor.Check
	for _, name := range c.Only {
		before := len(out)
		for _, one := range all {
			if strings.EqualFold(name, one.ID) || strings.EqualFold(name, one.Rule()) {
				out = append(out, one)
			}
		}
		if len(out) == before {
			return nil, terminal.UsageError(fmt.Sprintf("--only: there is no check %q; --list has them all", name))
		}
	}
	return out, nil
}
