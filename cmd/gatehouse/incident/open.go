package incident

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

type openCommand struct {
	Title string `arg:"" help:"What happened, in a line that names nobody."`
	Alert string `placeholder:"RULE" help:"The rule whose alert it is opened from."`
	Began string `placeholder:"TIME" help:"When the attack began, if that is known: 2026-11-28T06:00:00Z, or 3h."`
	Aware string `placeholder:"TIME" help:"When you came to know of it, if that was earlier: the 72 hours count from it."`
}

func (openCommand) Help() string {
	return `It prints the incident's name, such as INC-1, which the other commands take first.

Examples:
  gatehouse incident open "Stuffing from three networks" --alert credential_stuffing --began 3h
  gatehouse incident open "A laptop of an operator was stolen"`
}

// Run opens an incident.
func (o openCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	now := time.Now()
	in := respond.Opening{Title: o.Title, Alert: o.Alert}
	var err error
	if in.Began, err = terminal.Moment(o.Began, now); err != nil {
		return err
	}
	if in.Aware, err = terminal.Moment(o.Aware, now); err != nil {
		return err
	}
	return desk(ctx, t, func(d *respond.Desk) error {
		i, err := d.Open(ctx, in, operator(t))
		if err != nil {
			return err
		}
		fmt.Fprintln(t.Out, i.Name())
		fmt.Fprintf(t.Err, "Opened. The authority must know by %s if people's data were touched (GDPR, article 33).\nNext: gatehouse incident show %s\n",
			terminal.Time(i.Due()), i.Name())
		return nil
	})
}

type listCommand struct {
	JSON bool `name:"json" help:"Print JSON, one incident per line."`
}

func (listCommand) Help() string {
	return `Example:
  gatehouse incident list`
}

// incidentJSON is an incident for programs.
type incidentJSON struct {
	Name        string     `json:"name"`
	Title       string     `json:"title"`
	State       string     `json:"state"`
	Alert       string     `json:"alert,omitempty"`
	BeganAt     *time.Time `json:"began_at"`
	AwareAt     time.Time  `json:"aware_at"`
	DueAt       time.Time  `json:"due_at"`
	OpenedAt    time.Time  `json:"opened_at"`
	ContainedAt *time.Time `json:"contained_at"`
	RecoveredAt *time.Time `json:"recovered_at"`
	ClosedAt    *time.Time `json:"closed_at"`
	Lessons     string     `json:"lessons,omitempty"`
}

func newIncidentJSON(i incident.Incident) incidentJSON {
	return incidentJSON{
		Name: i.Name(), Title: i.Title, State: state(i), Alert: i.Alert, BeganAt: terminal.JSONTime(i.BeganAt), AwareAt: i.AwareAt, DueAt: i.Due(),
		OpenedAt: i.OpenedAt, ContainedAt: terminal.JSONTime(i.ContainedAt), RecoveredAt: terminal.JSONTime(i.RecoveredAt),
		ClosedAt: terminal.JSONTime(i.ClosedAt), Lessons: i.Lessons,
	}
}

func state(i incident.Incident) string {
	if i.ClosedAt.IsZero() {
		return "open"
	}
	return "closed"
}

// pageSize is how many incidents are read at once.
const pageSize = 200

// Run lists incidents.
func (l listCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return desk(ctx, t, func(d *respond.Desk) error {
		lines := [][]string{{"NAME", "STATE", "OPENED", "DUE", "CONTAINED", "TITLE"}}
		for before := int64(0); ; {
			list, more, err := d.List(ctx, before, pageSize)
			if err != nil {
				return err
			}
			for _, i := range list {
				before = i.N
				if l.JSON {
					if err := t.JSONLine(newIncidentJSON(i)); err != nil {
						return err
					}
				}
				lines = append(lines, []string{i.Name(), state(i), terminal.Time(i.OpenedAt), terminal.Time(i.Due()), terminal.Time(i.ContainedAt), i.Title})
			}
			if !more {
				break
			}
		}
		if l.JSON {
			return nil
		}
		if len(lines) == 1 {
			_, err := fmt.Fprintln(t.Err, "There is no incident. Open one with: gatehouse incident open TITLE")
			return err
		}
		return t.Table(lines)
	})
}
