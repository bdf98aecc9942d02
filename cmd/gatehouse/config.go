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
	JSON bool `name:"json" help:"Print JSON."`
}

func (configShow) Help() string {
	return `Secrets are shown as asterisks. If the settings would not start the server it says so, all at once, and exits 78.

Example:
  gatehouse config show --env-file /etc/gatehouse/env`
}

// Run prints the settings.
func (c configShow) Run(t *terminal) error {
	settings, _, err := t.settings()
	if err != nil {
		return c.refused(t, err)
	}
	t.warn(settings)
	rows := settings.Report()
	if c.JSON {
		return t.json(rows)
	}
	lines := [][]string{{"SETTING", "VALUE", "FROM"}}
	for _, r := range rows {
		lines = append(lines, []string{r.Name, r.Value, r.Source})
	}
	return t.table(lines)
}

// refused prints the faults for programs; the error itself is for people.
func (c configShow) refused(t *terminal, err error) error {
	var faults *config.Faults
	if c.JSON && errors.As(err, &faults) {
		return errors.Join(err, t.json(faults))
	}
	return err
}
