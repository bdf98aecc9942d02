// Package incident is gatehouse incident: what is done on a bad day, one file a command.
package incident

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

// Command is gatehouse incident.
type Command struct {
	Open    openCommand    `cmd:"" help:"Open an incident: it gets a number, a timeline, and the 72-hour clock."`
	List    listCommand    `cmd:"" help:"List incidents, the newest first."`
	Show    showCommand    `cmd:"" help:"Show one, with its clock, timeline, actions and checklist."`
	Note    noteCommand    `cmd:"" help:"Add a line to the timeline."`
	Scope   scopeCommand   `cmd:"" help:"Find out who was touched: a table, CSV, a graph."`
	Freeze  freezeCommand  `cmd:"" help:"Write an evidence bundle: encrypted, signed, with the log and its proofs."`
	Verify  verifyCommand  `cmd:"" name:"verify-bundle" help:"Check an evidence bundle, on any machine."`
	Contain containCommand `cmd:"" help:"Stop an attack: a dry run that counts and samples, unless --yes."`
	Approve approveCommand `cmd:"" help:"Approve a grave action that somebody else has ordered."`
	Undo    undoCommand    `cmd:"" help:"Take an action back, where that makes sense."`
	Stop    stopCommand    `cmd:"" help:"Stop an action that is still being done."`
	Resume  resumeCommand  `cmd:"" help:"Go on with actions that were broken off."`
	Recover recoverCommand `cmd:"" help:"Verify the log, compare with a backup, and say what is left to mend and open."`
	Step    stepCommand    `cmd:"" help:"Tick a step of the checklist."`
	Notify  notifyCommand  `cmd:"" help:"Mail the people whom it touches, at a limited rate."`
	Report  reportCommand  `cmd:"" help:"Write the report, or the draft of a notice."`
	Drill   drillCommand   `cmd:"" help:"Practise on a made-up breach in an installation of its own."`
	Close   closeCommand   `cmd:"" help:"Close an incident, with what is to be different next time."`
}

// Help implements kong.HelpProvider.
func (Command) Help() string {
	return `Whatever is done about an incident stands in its timeline, with who and when. docs/guides/incidents.md explains it, and docs/runbooks/
leads through what happens most often, such as a stolen signing key or credential stuffing.

Example:
  gatehouse incident open "Stuffing from three networks"`
}

// desk opens the database and what incidents are worked on with, for one command.
func desk(ctx context.Context, t *terminal.Terminal, do func(d *respond.Desk) error) error {
	c, _, err := t.Settings()
	if err != nil {
		return err
	}
	t.Warn(c)
	log, events := t.Logs(c)
	d, done, err := app.OperatorIncidents(ctx, c, log, events)
	if err != nil {
		return err
	}
	return errors.Join(do(d), done())
}

// one is desk for a command about the incident that is called so.
func one(ctx context.Context, t *terminal.Terminal, name string, do func(d *respond.Desk, n int64) error) error {
	n, err := incident.ParseName(name)
	if err != nil {
		return err
	}
	return desk(ctx, t, func(d *respond.Desk) error { return do(d, n) })
}

// operator is on whose behalf a command does something.
func operator(t *terminal.Terminal) respond.By { return respond.By{Origin: t.Origin()} }
