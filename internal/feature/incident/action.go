package incident

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// State is how far an action is.
type State string

// The states.
const (
	// Finding: it looks for those whom it is about, and has touched nobody.
	Finding   State = "finding"
	Running   State = "running"
	Finished  State = "done"
	TakenBack State = "undone"
	// Stopped: somebody has ended it before it was done to everybody.
	Stopped State = "stopped"
	// Waiting: somebody else has to approve it first, until it expires; Withdrawn: nobody is to do it any more.
	Waiting   State = "waiting"
	Withdrawn State = "withdrawn"
	Expired   State = "expired"
)

// Action is something that was done to contain an incident.
type Action struct {
	ID, Incident string
	// Does is what: respond has the list.
	Does string
	// Wants is what it was told, in JSON, without people; Why the reason, Actor who told it.
	Wants      json.RawMessage
	Why, Actor string
	State      State
	// Place is how far it is.
	Place string
	// Touched is what it has touched, by kind.
	Touched          map[string]int64
	BeganAt, EndedAt time.Time
	// ApprovedBy is who approved it, where somebody had to: until ExpiresAt, which is zero where nobody had to.
	ApprovedBy string
	ExpiresAt  time.Time
}

// Happened reports whether it was begun: it does not wait, and was not given up while it did.
func (a Action) Happened() bool {
	return a.State != Waiting && a.State != Withdrawn && a.State != Expired
}

// Doer is who does it: who approved it, or who told it where nobody had to approve it. It is empty if they were erased.
func (a Action) Doer() string {
	if a.ExpiresAt.IsZero() || !a.Happened() {
		return a.Actor
	}
	return a.ApprovedBy
}

// ErrNoAction is for an action that the incident does not have.
var ErrNoAction = fault.New(fault.NotFound, "action_not_found", "The incident has no such action. gatehouse incident show lists those that it has.")

// Begin inserts an action.
func Begin(tx *db.Tx, random secret.Random, a Action) (Action, error) {
	a.ID = random.ID(a.BeganAt)
	if a.Touched == nil {
		a.Touched = map[string]int64{}
	}
	touched, err := json.Marshal(a.Touched)
	if err != nil {
		return a, err
	}
	_, err = tx.Exec(`INSERT INTO incident_action (id, incident_id, action, wants, why, actor, state, place, touched, began_at, ended_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		a.ID, a.Incident, a.Does, string(a.Wants), a.Why, a.Actor, string(a.State), a.Place, string(touched), db.Micros(a.BeganAt), orNull(a.EndedAt),
		orNull(a.ExpiresAt))
	return a, err
}

// ErrMoved is for an action that somebody else has moved on meanwhile: the transaction does nothing, and whoever wants to
// go on reads the action again.
var ErrMoved = errors.New("somebody else goes on with this action")

// Advance writes how far an action is now, if it still stands where the caller has read it; else ErrMoved. It holds the
// row until the transaction ends, so it comes first.
func Advance(tx *db.Tx, was, is Action) error {
	touched, err := json.Marshal(is.Touched)
	if err != nil {
		return err
	}
	n, err := tx.Exec(`UPDATE incident_action SET state = $2, place = $3, touched = $4, ended_at = $5 WHERE id = $1 AND state = $6 AND place = $7`,
		is.ID, string(is.State), is.Place, string(touched), orNull(is.EndedAt), string(was.State), was.Place)
	if err == nil && n == 0 {
		err = ErrMoved
	}
	return err
}

// ActionByID returns one of an incident's, or ErrNoAction.
func ActionByID(tx *db.Tx, incidentID, id string) (Action, error) {
	a, err := scanAction(tx.QueryRow(`SELECT id, incident_id, action, wants, why, actor, state, place, touched, began_at, ended_at, approved_by, expires_at
		FROM incident_action WHERE id = $1 AND incident_id = $2`, id, incidentID))
	if errors.Is(err, db.ErrNoRows) {
		err = ErrNoAction
	}
	return a, err
}

// HoldAction is [ActionByID], and holds the row: whoever does the next batch waits.
func HoldAction(tx *db.Tx, incidentID, id string) (Action, error) {
	a, err := scanAction(tx.QueryRow(`UPDATE incident_action SET place = place WHERE id = $1 AND incident_id = $2
		RETURNING id, incident_id, action, wants, why, actor, state, place, touched, began_at, ended_at, approved_by, expires_at`, id, incidentID))
	if errors.Is(err, db.ErrNoRows) {
		err = ErrNoAction
	}
	return a, err
}

// Actions returns those of an incident, the oldest first.
func Actions(tx *db.Tx, incidentID string) ([]Action, error) {
	return scanActions(tx.Query(`SELECT id, incident_id, action, wants, why, actor, state, place, touched, began_at, ended_at, approved_by, expires_at
		FROM incident_action WHERE incident_id = $1 ORDER BY id LIMIT $2`, incidentID, timelineMost))
}

// Unfinished returns up to limit actions that were begun and are not done, the oldest first.
func Unfinished(tx *db.Tx, limit int) ([]Action, error) {
	return scanActions(tx.Query(`SELECT id, incident_id, action, wants, why, actor, state, place, touched, began_at, ended_at, approved_by, expires_at
		FROM incident_action WHERE ended_at IS NULL AND state <> 'waiting' ORDER BY id LIMIT $1`, limit))
}

// CountWaiting counts what waits for somebody else to approve it, and can still be approved.
func CountWaiting(tx *db.Tx, now time.Time) (n int64, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM incident_action WHERE ended_at IS NULL AND state = 'waiting' AND expires_at > $1`, db.Micros(now)).Scan(&n)
	return n, err
}

// Overdue returns up to limit actions that wait although nobody can approve them any more, the oldest first.
func Overdue(tx *db.Tx, now time.Time, limit int) ([]Action, error) {
	return scanActions(tx.Query(`SELECT id, incident_id, action, wants, why, actor, state, place, touched, began_at, ended_at, approved_by, expires_at
		FROM incident_action WHERE ended_at IS NULL AND state = 'waiting' AND expires_at <= $1 ORDER BY id LIMIT $2`, db.Micros(now), limit))
}

// Approve begins an action that waits, as somebody has approved it; the caller holds its row. It may have learned what it wants only now.
func Approve(tx *db.Tx, a Action) error {
	touched, err := json.Marshal(a.Touched)
	if err != nil {
		return err
	}
	n, err := tx.Exec(`UPDATE incident_action SET wants = $2, state = $3, place = $4, touched = $5, began_at = $6, ended_at = $7, approved_by = $8
		WHERE id = $1 AND state = 'waiting'`, a.ID, string(a.Wants), string(a.State), a.Place, string(touched), db.Micros(a.BeganAt), orNull(a.EndedAt),
		a.ApprovedBy)
	if err == nil && n == 0 {
		err = ErrMoved
	}
	return err
}

// OfKind returns all actions of a kind but one that were begun, of all incidents, the newest first.
func OfKind(tx *db.Tx, does, except string) ([]Action, error) {
	return scanActions(tx.Query(`SELECT id, incident_id, action, wants, why, actor, state, place, touched, began_at, ended_at, approved_by, expires_at
		FROM incident_action WHERE action = $1 AND id <> $2 AND state NOT IN ('waiting', 'withdrawn', 'expired') ORDER BY id DESC LIMIT $3`,
		does, except, timelineMost))
}

func scanActions(rows *db.Rows, err error) ([]Action, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Action
	for rows.Next() {
		a, err := scanAction(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, rows.Err()
}

func scanAction(row interface{ Scan(dest ...any) error }) (a Action, err error) {
	var (
		wants, touched string
		began          int64
		ended, expires *int64
	)
	err = row.Scan(&a.ID, &a.Incident, &a.Does, &wants, &a.Why, &a.Actor, (*string)(&a.State), &a.Place, &touched, &began, &ended,
		&a.ApprovedBy, &expires)
	if err != nil {
		return a, err
	}
	a.Wants, a.BeganAt, a.EndedAt = json.RawMessage(wants), db.Time(began), db.TimeOrZero(ended)
	a.ExpiresAt = db.TimeOrZero(expires)
	if err := json.Unmarshal([]byte(touched), &a.Touched); err != nil {
		return a, fmt.Errorf("what an incident's action has touched is no JSON: %w", err)
	}
	return a, nil
}
