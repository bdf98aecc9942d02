package main

import (
	"errors"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
)

type configCommand struct {
	Show      configShow      `cmd:"" default:"withargs" help:"Show the settings in force and where each came from."`
	Calibrate configCalibrate `cmd:"" help:"Measure how long hashing a password takes here, and print the settings that fit."`
}

func (configCommand) Help() string {
	return `Examples:
  gatehouse config --env-file /etc/gatehouse/env
  gatehouse config calibrate`
}

type configShow struct {
	JSON bool `name:"json" help:"Print JSON, one setting a line."`
}

func (configShow) Help() string {
	return `Secrets are shown as asterisks. If the settings would not start the server those at fault are marked, all that is wrong is said below the table, and it exits 78.

Example:
  gatehouse config show --env-file /etc/gatehouse/env`
}

// Run prints the settings.
func (c configShow) Run(t *terminal) error {
	settings, _, err := t.settings()
	var (
		faults *config.Faults
		rows   []config.Row
	)
	switch {
	case err == nil:
		t.warn(settings)
		rows = settings.Report()
	case errors.As(err, &faults):
		rows = faults.Report() // the error itself follows, with all that is wrong and its mends
	default:
		return err
	}
	if c.JSON {
		return errors.Join(jsonLines(t, rows), err)
	}
	lines := [][]string{{"SETTING", "VALUE", "FROM"}}
	for _, r := range rows {
		if len(r.Faults) > 0 {
			r.Value = "! wrong: see below"
		}
		lines = append(lines, []string{r.Name, r.Value, r.Source})
	}
	return errors.Join(t.table(lines), err)
}
