package incident

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Whole is an incident with all that belongs to it, as it was kept outside of the database.
type Whole struct {
	Incident
	Timeline []Entry
	Actions  []Action
	Done     map[Step]Done
	// Accounts are those whom it touches.
	Accounts []string
}

// Bring puts an incident into a database that was restored from before it, or from its beginning: what stands there stays, and what
// is missing comes. Its number is its own, or the next one if another incident has that; it is returned. No action goes on: what was
// under way or waited was about a database that is no more.
func Bring(tx *db.Tx, w Whole, now time.Time) (n int64, err error) {
	if n, err = bringRow(tx, w.Incident); err != nil {
		return 0, err
	}
	for _, a := range w.Actions {
		if err := bringAction(tx, w.ID, a, now); err != nil {
			return 0, err
		}
	}
	for _, e := range w.Timeline {
		if _, err := tx.Exec(`INSERT INTO incident_entry (id, incident_id, time, kind, actor, action_id, text) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (id) DO NOTHING`, e.ID, w.ID, db.Micros(e.Time), string(e.Kind), e.Actor, e.Action, e.Text); err != nil {
			return 0, err
		}
	}
	for s, d := range w.Done {
		if _, err := Tick(tx, w.ID, s, d.Actor, d.At); err != nil {
			return 0, err
		}
	}
	for _, id := range w.Accounts {
		if _, err := AddPerson(tx, w.ID, "", id, now); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// bringRow writes the incident's own row.
func bringRow(tx *db.Tx, i Incident) (n int64, err error) {
	err = tx.QueryRow(`UPDATE incident SET began_at = COALESCE(began_at, $2), contained_at = COALESCE(contained_at, $3), recovered_at = COALESCE(recovered_at, $4),
		closed_at = COALESCE(closed_at, $5), lessons = CASE WHEN lessons = '' THEN $6 ELSE lessons END WHERE id = $1 RETURNING n`,
		i.ID, orNull(i.BeganAt), orNull(i.ContainedAt), orNull(i.RecoveredAt), orNull(i.ClosedAt), i.Lessons).Scan(&n)
	if err == nil || !errors.Is(err, db.ErrNoRows) {
		return n, err
	}
	if _, err := ByNumber(tx, i.N); err == nil {
		if err := tx.QueryRow(`UPDATE install SET incident_n = incident_n + 1 RETURNING incident_n`).Scan(&i.N); err != nil {
			return 0, err
		}
	} else if !errors.Is(err, ErrUnknown) {
		return 0, err
	}
	if _, err := tx.Exec(`UPDATE install SET incident_n = $1 WHERE incident_n < $1`, i.N); err != nil {
		return 0, err
	}
	_, err = tx.Exec(`INSERT INTO incident (id, n, title, alert, began_at, aware_at, opened_at, contained_at, recovered_at, closed_at, lessons)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, i.ID, i.N, i.Title, i.Alert, orNull(i.BeganAt), db.Micros(i.AwareAt), db.Micros(i.OpenedAt),
		orNull(i.ContainedAt), orNull(i.RecoveredAt), orNull(i.ClosedAt), i.Lessons)
	return i.N, err
}

// bringAction writes an action that has ended, or ends now.
func bringAction(tx *db.Tx, incidentID string, a Action, now time.Time) error {
	if a.EndedAt.IsZero() {
		if a.EndedAt = now; a.State == Waiting {
			a.State = Expired
		} else {
			a.State = Stopped
		}
	}
	touched, err := json.Marshal(a.Touched)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO incident_action
		(id, incident_id, action, wants, why, actor, state, place, touched, began_at, ended_at, approved_by, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (id) DO UPDATE SET state = excluded.state, place = excluded.place,
		touched = excluded.touched, ended_at = excluded.ended_at, approved_by = excluded.approved_by`,
		a.ID, incidentID, a.Does, string(a.Wants), a.Why, a.Actor, string(a.State), a.Place, string(touched), db.Micros(a.BeganAt), orNull(a.EndedAt),
		a.ApprovedBy, orNull(a.ExpiresAt))
	return err
}
