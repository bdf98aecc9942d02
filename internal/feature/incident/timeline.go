package incident

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// EntryKind is what a line of the timeline tells of.
type EntryKind string

// The kinds.
const (
	Opened   EntryKind = "opened"
	Noted    EntryKind = "note"
	Acted    EntryKind = "action"
	Ended    EntryKind = "action_done"
	Undone   EntryKind = "action_undone"
	Halted   EntryKind = "action_stopped"
	Scoped   EntryKind = "scope"
	Frozen   EntryKind = "freeze"
	Notified EntryKind = "notify"
	// Recovering is a look at what there is to mend.
	Recovering EntryKind = "recover"
	StepDone   EntryKind = "step"
	WasClosed  EntryKind = "closed"
	// AskedFor is an action that waits for somebody else, Approved one that they approved, GivenUp one that nobody will.
	AskedFor EntryKind = "approval_asked"
	Approved EntryKind = "approved"
	GivenUp  EntryKind = "approval_given_up"
)

// Entry is a line of the timeline.
type Entry struct {
	ID   string
	Time time.Time
	Kind EntryKind
	// Actor is who did it: an administrator's account, or the operator's system user and machine.
	Actor string
	// Action is the id of the action that it is about, or empty.
	Action string
	Text   string
}

// Write puts a line into the timeline of an incident.
func Write(tx *db.Tx, random secret.Random, incidentID string, e Entry) error {
	_, err := tx.Exec(`INSERT INTO incident_entry (id, incident_id, time, kind, actor, action_id, text) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		random.ID(e.Time), incidentID, db.Micros(e.Time), string(e.Kind), e.Actor, e.Action, e.Text)
	return err
}

// timelineMost is how many lines a timeline is read with: an incident of months has fewer.
const timelineMost = 5000

// Timeline returns the lines of an incident, the oldest first.
func Timeline(tx *db.Tx, incidentID string) (list []Entry, err error) {
	rows, err := tx.Query(`SELECT id, time, kind, actor, action_id, text FROM incident_entry WHERE incident_id = $1 ORDER BY id LIMIT $2`,
		incidentID, timelineMost)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			e  Entry
			at int64
		)
		if err := rows.Scan(&e.ID, &at, (*string)(&e.Kind), &e.Actor, &e.Action, &e.Text); err != nil {
			return nil, err
		}
		e.Time = db.Time(at)
		list = append(list, e)
	}
	return list, rows.Err()
}

// Step is a line of the checklist.
type Step string

// Steps are the checklist, in its order: the guide's incident plan, from containment to the lessons.
var Steps = []Step{"scope", "freeze", "stop", "doors", "verify", "compare", "authority", "people", "lessons"}

// Done is a step that was done.
type Done struct {
	At    time.Time
	Actor string
}

// Tick notes that a step is done; the first time stays. It reports whether it was not done before.
func Tick(tx *db.Tx, incidentID string, s Step, actor string, now time.Time) (bool, error) {
	n, err := tx.Exec(`INSERT INTO incident_step (incident_id, step, done_at, actor) VALUES ($1, $2, $3, $4) ON CONFLICT (incident_id, step) DO NOTHING`,
		incidentID, string(s), db.Micros(now), actor)
	return n == 1, err
}

// Untick takes that back, and reports whether it was done.
func Untick(tx *db.Tx, incidentID string, s Step) (bool, error) {
	n, err := tx.Exec(`DELETE FROM incident_step WHERE incident_id = $1 AND step = $2`, incidentID, string(s))
	return n == 1, err
}

// Ticked returns the steps that are done.
func Ticked(tx *db.Tx, incidentID string) (map[Step]Done, error) {
	rows, err := tx.Query(`SELECT step, done_at, actor FROM incident_step WHERE incident_id = $1`, incidentID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[Step]Done{}
	for rows.Next() {
		var (
			s  Step
			d  Done
			at int64
		)
		if err := rows.Scan((*string)(&s), &at, &d.Actor); err != nil {
			return nil, err
		}
		d.At = db.Time(at)
		out[s] = d
	}
	return out, rows.Err()
}
