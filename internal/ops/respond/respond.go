// Package respond is what is done about an incident: opened, scoped, contained, recorded, reported and closed.
//
// Whatever is done to contain one is a dry run first, that counts and samples, and then an action: a row that says what
// was meant, before anything is touched ([incident.Action]). What takes many transactions goes on from the row, by
// whoever comes by: the command that began it, or the server's job. Killed anywhere, it ends the same.
package respond

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Desk is where incidents are worked on.
type Desk struct {
	flow.Core
	Random   secret.Random
	Operator *operate.Operator
	Blocks   *operate.Blocks
	// Keys opens the installation's keys, for what needs JWT_SECRET_KEY.
	Keys func(context.Context) (*operate.Keys, error)
	// Pace is how much one transaction of an action does.
	Pace Pace
}

// By is who does something about an incident: an administrator, or with no account the operator at the command line.
type By struct {
	Who    flow.Identity
	Origin event.Origin
}

// actor is what stands in the timeline.
func (b By) actor() string {
	if b.Who.Account != "" {
		return b.Who.Account
	}
	return b.Origin.Actor
}

// kind is which of both it is, or empty where it is nobody: an action stops by itself, or was begun by somebody who is erased.
func (b By) kind() string {
	if b.actor() == "" {
		return ""
	}
	return b.Who.By()
}

// record writes the event of something done about an incident, and for an administrator an admin_action beside it.
func (d *Desk) record(tx *db.Tx, kind event.Kind, action string, detail event.Detail, by By) {
	d.Operator.As(by.Who, detail.Why).Acted(tx, action, event.Event{Session: by.Who.Session, Origin: by.Origin, Detail: event.Detail{Incident: detail.Incident}})
	detail.By, detail.Actor = by.Who.By(), by.Who.Account
	d.Events.Append(tx, event.Event{Kind: kind, Outcome: event.Success, Account: by.Who.Account, Session: by.Who.Session, Origin: by.Origin, Detail: detail})
}

// Opening is what an incident is opened with.
type Opening struct {
	Title string
	// Alert is the rule whose alert it is opened from, or empty.
	Alert string
	// Began is when the attack began, as far as that is known; Aware when those who run the service came to know of it,
	// which is now if it is zero. The 72 hours count from it.
	Began, Aware time.Time
}

// Open opens an incident.
func (d *Desk) Open(ctx context.Context, in Opening, by By) (i incident.Incident, err error) {
	ctx, run := d.Count.Begin(ctx, "incident")
	i, err = d.open(ctx, in, by)
	return i, run.End(err)
}

func (d *Desk) open(ctx context.Context, in Opening, by By) (i incident.Incident, err error) {
	now := d.Now()
	i = incident.Incident{Alert: in.Alert, BeganAt: in.Began, AwareAt: in.Aware, OpenedAt: now}
	if i.Title, err = incident.ParseTitle(in.Title); err != nil {
		return i, err
	}
	if i.AwareAt.IsZero() {
		i.AwareAt = now
	}
	switch {
	case i.AwareAt.After(now):
		return i, fault.Field("aware_at", "invalid_time", "Nobody knew of it at a time to come.")
	case i.BeganAt.After(i.AwareAt):
		return i, fault.Field("began_at", "invalid_time", "It began before anybody knew of it.")
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		if i, err = incident.Open(tx, d.Random, i); err != nil {
			return err
		}
		text := "Opened: " + i.Title
		if i.Alert != "" {
			text += ", from the alert " + i.Alert
		}
		d.record(tx, event.IncidentOpened, operate.ActOpenIncident, event.Detail{Incident: i.Name(), Why: i.Title, Rule: i.Alert}, by)
		return d.write(tx, i, incident.Entry{Kind: incident.Opened, Text: text + "."}, by)
	})
	return i, err
}

// write puts a line into the timeline.
func (d *Desk) write(tx *db.Tx, i incident.Incident, e incident.Entry, by By) error {
	e.Time, e.Actor = d.Now(), by.actor()
	return incident.Write(tx, d.Random, i.ID, e)
}

// on does something to an open incident, whose row it holds.
func (d *Desk) on(ctx context.Context, n int64, do func(tx *db.Tx, i incident.Incident) error) error {
	ctx, run := d.Count.Begin(ctx, "incident")
	return run.End(d.DB.Write(ctx, func(tx *db.Tx) error {
		i, err := incident.Hold(tx, n)
		if err != nil {
			return err
		}
		return do(tx, i)
	}))
}

// Note adds a line to the timeline in somebody's words.
func (d *Desk) Note(ctx context.Context, n int64, text string, by By) error {
	text, err := incident.ParseText("text", text)
	if err != nil {
		return err
	}
	return d.on(ctx, n, func(tx *db.Tx, i incident.Incident) error {
		d.Operator.As(by.Who, "").Acted(tx, operate.ActNoteIncident, event.Event{
			Session: by.Who.Session, Origin: by.Origin, Detail: event.Detail{Incident: i.Name()},
		})
		return d.write(tx, i, incident.Entry{Kind: incident.Noted, Text: text}, by)
	})
}

// Close closes an incident. The lessons are what is to be different next time.
func (d *Desk) Close(ctx context.Context, n int64, lessons string, by By) error {
	lessons, err := incident.ParseText("lessons", lessons)
	if err != nil {
		return err
	}
	return d.on(ctx, n, func(tx *db.Tx, i incident.Incident) error {
		if err := d.allDone(tx, i); err != nil {
			return err
		}
		now := d.Now()
		if err := incident.Close(tx, i.ID, lessons, now); err != nil {
			return err
		}
		if _, err := incident.Tick(tx, i.ID, "lessons", by.actor(), now); err != nil {
			return err
		}
		d.record(tx, event.IncidentClosed, operate.ActCloseIncident, event.Detail{Incident: i.Name()}, by)
		return d.write(tx, i, incident.Entry{Kind: incident.WasClosed, Text: "Closed."}, by)
	})
}

// errStillRunning is for an incident that is to be closed, or an action that is to be taken back, while something is being done.
var errStillRunning = fault.New(fault.Conflict, "action_running",
	"An action is still being done. Wait until it has ended, or stop it: gatehouse incident stop.")

func (d *Desk) allDone(tx *db.Tx, i incident.Incident) error {
	list, err := incident.Actions(tx, i.ID)
	for _, a := range list {
		if a.EndedAt.IsZero() {
			return errStillRunning
		}
	}
	return err
}

// ErrNoStep is for a step that the checklist does not have.
var ErrNoStep = fault.New(fault.NotFound, "step_not_found",
	"The checklist has no such step: it has scope, freeze, stop, doors, verify, compare, authority, people and lessons.")

// Tick notes that a step of the checklist is done, or that it is not.
func (d *Desk) Tick(ctx context.Context, n int64, s incident.Step, done bool, by By) error {
	text, ok := stepTexts[s]
	if !ok {
		return ErrNoStep
	}
	return d.on(ctx, n, func(tx *db.Tx, i incident.Incident) error {
		change, says := incident.Tick, "Done: "
		if !done {
			change = func(tx *db.Tx, id string, s incident.Step, _ string, _ time.Time) (bool, error) {
				return incident.Untick(tx, id, s)
			}
			says = "Not done after all: "
		}
		changed, err := change(tx, i.ID, s, by.actor(), d.Now())
		if err != nil || !changed {
			return err
		}
		if done && s == "compare" {
			if err := incident.Set(tx, i.ID, incident.Recovered, d.Now()); err != nil {
				return err
			}
		}
		return d.write(tx, i, incident.Entry{Kind: incident.StepDone, Text: says + text}, by)
	})
}

// stepTexts say what each step is.
var stepTexts = map[incident.Step]string{
	"scope":     "Find out who was touched.",
	"freeze":    "Freeze the evidence.",
	"stop":      "Lock out who got in: end sessions, block networks, demand new passwords.",
	"doors":     "Close the way that they came: rotate keys and secrets, suspend what they added.",
	"verify":    "Verify the event log; where it is anchored, against a checkpoint from there.",
	"compare":   "Compare with a backup from before, restore what is wrong, and open what was closed.",
	"authority": "Tell the authority within 72 hours, or write down why not (GDPR, article 33).",
	"people":    "Tell the people whom it touches (GDPR, article 34).",
	"lessons":   "Write the report, and what is to be different next time.",
}

// StepText says what a step is.
func StepText(s incident.Step) string { return stepTexts[s] }

// Standing is an incident with all that belongs to it.
type Standing struct {
	incident.Incident
	Timeline []incident.Entry
	Actions  []incident.Action
	Done     map[incident.Step]incident.Done
	// People is how many people it touches, as far as actions and saved scopes say.
	People int64
}

// Show returns one incident.
func (d *Desk) Show(ctx context.Context, n int64) (s Standing, err error) {
	ctx, run := d.Count.Begin(ctx, "incidents")
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		if s.Incident, err = incident.ByNumber(tx, n); err != nil {
			return err
		}
		if s.Timeline, err = incident.Timeline(tx, s.ID); err != nil {
			return err
		}
		if s.Actions, err = incident.Actions(tx, s.ID); err != nil {
			return err
		}
		if s.Done, err = incident.Ticked(tx, s.ID); err != nil {
			return err
		}
		s.People, err = incident.CountPeople(tx, s.ID)
		return err
	})
	return s, run.End(err)
}

// List returns the newest incidents before a number, if that is not zero: at most limit, and whether there are more.
func (d *Desk) List(ctx context.Context, before int64, limit int) (list []incident.Incident, more bool, err error) {
	ctx, run := d.Count.Begin(ctx, "incidents")
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		list, err = incident.List(tx, before, limit+1)
		return err
	})
	if more = len(list) > limit; more {
		list = list[:limit]
	}
	return list, more, run.End(err)
}
