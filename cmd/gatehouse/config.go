package main

import (
	"errors"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
)

type configCommand struct {
	Show      configShow      `cmd:"" default:"withargs" help:"Show the effective settings and where each one comes from."`
	Calibrate configCalibrate `cmd:"" help:"Measure how long hashing a password takes on this machine, and suggest settings."`
}

func (configCommand) Help() string {
	return `Examples:
  gatehouse config --env-file /etc/gatehouse/env
  gatehouse config calibrate`
}

type configShow struct {
	JSON bool `name:"json" help:"Print JSON, one setting per line."`
}

func (configShow) Help() string {
	return `Secrets are shown as asterisks. If the server would not start with these settings, the faulty ones are marked, every problem is listed
below the table, and the exit code is 78.

Example:
  gatehouse config show --env-file /etc/gatehouse/env`
}

// Run prints the settings.
func (c configShow) Run(t *terminal.Terminal) error {
	settings, _, err := t.Settings()
	var (
		faults *config.Faults
		rows   []config.Row
	)
	switch {
	case err == nil:
		t.Warn(settings)
		rows = settings.Report()
	case errors.As(err, &faults):
		rows = faults.Report() // the error itself follows, with all that is wrong and its mends
	default:
		return err
	}
	if c.JSON {
		return errors.Join(terminal.JSONLines(t, rows), err)
	}
	lines := [][]string{{"SETTING", "VALUE", "FROM"}}
	for _, r := range rows {
		if len(r.Faults) > 0 {
			r.Value = "! invalid: see below"
		}
		lines = append(lines, []string{r.Name, r.Value, r.Source})
	}
	return errors.Join(t.Table(lines), err)
}
