package incident

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

type showCommand struct {
	Incident string `arg:"" help:"Its name: INC-1."`
	JSON     bool   `name:"json" help:"Print JSON."`
}

func (showCommand) Help() string {
	return `Example:
  gatehouse incident show INC-1`
}

// actionJSON is an action for programs.
type actionJSON struct {
	ID      string           `json:"id"`
	Action  string           `json:"action"`
	State   string           `json:"state"`
	Wants   any              `json:"wants"`
	Reason  string           `json:"reason"`
	By      string           `json:"by"`
	Touched map[string]int64 `json:"touched"`
	BeganAt time.Time        `json:"began_at"`
	EndedAt *time.Time       `json:"ended_at"`
	// Approved and Expires are of those that take somebody else's approval, Secret of an application whose secret was replaced.
	Approved string     `json:"approved_by,omitempty"`
	Expires  *time.Time `json:"expires_at,omitempty"`
	Secret   string     `json:"client_secret,omitempty"`
}

func newActionJSON(d respond.Done) actionJSON {
	return actionJSON{
		d.ID, d.Does, string(d.State), d.Wants, d.Why, d.Actor, d.Touched, d.BeganAt, terminal.JSONTime(d.EndedAt), d.ApprovedBy,
		terminal.JSONTime(d.ExpiresAt), d.Secret,
	}
}

// entryJSON is a line of the timeline for programs.
type entryJSON struct {
	Time   time.Time `json:"time"`
	Kind   string    `json:"kind"`
	By     string    `json:"by"`
	Action string    `json:"action,omitempty"`
	Text   string    `json:"text"`
}

// showJSON is an incident with all that belongs to it, for programs.
type showJSON struct {
	incidentJSON
	People   int64        `json:"people"`
	Actions  []actionJSON `json:"actions"`
	Timeline []entryJSON  `json:"timeline"`
	Steps    []stepJSON   `json:"steps"`
}

type stepJSON struct {
	Step   string     `json:"step"`
	Text   string     `json:"text"`
	DoneAt *time.Time `json:"done_at"`
	By     string     `json:"by,omitempty"`
}

func newShowJSON(s respond.Standing) showJSON {
	out := showJSON{incidentJSON: newIncidentJSON(s.Incident), People: s.People, Actions: []actionJSON{}, Timeline: []entryJSON{}}
	for _, a := range s.Actions {
		out.Actions = append(out.Actions, newActionJSON(respond.Done{Action: a}))
	}
	for _, e := range s.Timeline {
		out.Timeline = append(out.Timeline, entryJSON{e.Time, string(e.Kind), e.Actor, e.Action, e.Text})
	}
	for _, step := range incident.Steps {
		done := s.Done[step]
		out.Steps = append(out.Steps, stepJSON{string(step), respond.StepText(step), terminal.JSONTime(done.At), done.Actor})
	}
	return out
}

// Run shows it.
func (s showCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return one(ctx, t, s.Incident, func(d *respond.Desk, n int64) error {
		st, err := d.Show(ctx, n)
		if err != nil {
			return err
		}
		if s.JSON {
			return t.JSON(newShowJSON(st))
		}
		return show(t, st, d.Now())
	})
}

func show(t *terminal.Terminal, s respond.Standing, now time.Time) error {
	fmt.Fprintf(t.Out, "%s  %s  (%s)\n", s.Name(), s.Title, state(s.Incident))
	fmt.Fprintln(t.Out, clock(s.Incident, now))
	if s.People > 0 {
		fmt.Fprintf(t.Out, "It touches %d people, as far as actions and scopes say.\n", s.People)
	}
	fmt.Fprintln(t.Out, "\nTimeline")
	for _, e := range s.Timeline {
		fmt.Fprintf(t.Out, "  %s  %s  (%s)\n", terminal.Time(e.Time), strings.ReplaceAll(e.Text, "\n", "\n                        "), e.Actor)
	}
	if len(s.Actions) > 0 {
		fmt.Fprintln(t.Out, "\nActions")
		lines := [][]string{{"ID", "ACTION", "STATE", "BEGAN", "TOUCHED"}}
		for _, a := range s.Actions {
			lines = append(lines, []string{a.ID, a.Does, string(a.State), terminal.Time(a.BeganAt), respond.Touched(a.Touched).String()})
		}
		if err := t.Table(lines); err != nil {
			return err
		}
	}
	fmt.Fprintf(t.Out, "\nChecklist: %d of %d\n", len(s.Done), len(incident.Steps))
	for _, step := range incident.Steps {
		mark := " "
		if _, done := s.Done[step]; done {
			mark = "x"
		}
		fmt.Fprintf(t.Out, "  [%s] %-10s %s\n", mark, step, respond.StepText(step))
	}
	return nil
}

// clock says how much of the 72 hours is left.
func clock(i incident.Incident, now time.Time) string {
	left := i.Left(now).Truncate(time.Minute)
	hours, minutes := int(left.Abs()/time.Hour), int(left.Abs()%time.Hour/time.Minute)
	switch {
	case !i.ClosedAt.IsZero():
		return "Closed " + terminal.Time(i.ClosedAt) + "."
	case left < 0:
		return fmt.Sprintf("The 72 hours were over %d h %d min ago: the notice to the authority says why it is late (GDPR, article 33(1)).", hours, minutes)
	}
	return fmt.Sprintf("%d h %d min left to tell the authority, until %s (GDPR, article 33).", hours, minutes, terminal.Time(i.Due()))
}

type noteCommand struct {
	Incident string `arg:"" help:"Its name: INC-1."`
	Text     string `arg:"" help:"What you saw or decided; it should name nobody."`
}

func (noteCommand) Help() string {
	return `Example:
  gatehouse incident note INC-1 "The provider of 203.0.113.0/24 was told."`
}

// Run adds the note.
func (c noteCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return one(ctx, t, c.Incident, func(d *respond.Desk, n int64) error {
		if err := d.Note(ctx, n, c.Text, operator(t)); err != nil {
			return err
		}
		_, err := fmt.Fprintln(t.Out, "Noted.")
		return err
	})
}

type stepCommand struct {
	Incident string `arg:"" help:"Its name: INC-1."`
	Step     string `arg:"" help:"The step: scope, freeze, stop, doors, verify, compare, authority, people or lessons."`
	Undone   bool   `help:"It is not done after all."`
}

func (stepCommand) Help() string {
	return `Example:
  gatehouse incident step INC-1 verify`
}

// Run ticks the step.
func (c stepCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return one(ctx, t, c.Incident, func(d *respond.Desk, n int64) error {
		if err := d.Tick(ctx, n, incident.Step(c.Step), !c.Undone, operator(t)); err != nil {
			return err
		}
		s, err := d.Show(ctx, n)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.Out, "%d of %d steps are done.\n", len(s.Done), len(incident.Steps))
		return err
	})
}

type closeCommand struct {
	Incident string `arg:"" help:"Its name: INC-1."`
	Lessons  string `required:"" help:"What is to be different next time; it should name nobody."`
}

func (closeCommand) Help() string {
	return `Nothing more can be done about it then. What is closed, blocked or disabled stays so: open it first.

Example:
  gatehouse incident close INC-1 --lessons "Ask for a second factor. Look at alerts at night."`
}

// Run closes it.
func (c closeCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return one(ctx, t, c.Incident, func(d *respond.Desk, n int64) error {
		if err := d.Close(ctx, n, c.Lessons, operator(t)); err != nil {
			return err
		}
		_, err := fmt.Fprintf(t.Out, "Closed INC-%d.\n", n)
		return err
	})
}
