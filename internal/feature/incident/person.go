package incident

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// AddPerson notes that an incident touches an account: named by an action, or found by a scope if that is empty. It
// reports whether it was not noted before.
func AddPerson(tx *db.Tx, incidentID, action, account string, now time.Time) (bool, error) {
	n, err := tx.Exec(`INSERT INTO incident_person (incident_id, action_id, account_id, added_at, done_at) VALUES ($1, $2, $3, $4, NULL)
		ON CONFLICT (incident_id, action_id, account_id) DO NOTHING`, incidentID, action, account, db.Micros(now))
	return n == 1, err
}

// People returns up to limit accounts that an action names, from the one after the given id on.
func People(tx *db.Tx, incidentID, action, after string, limit int) ([]string, error) {
	return db.Strings(tx.Query(`SELECT account_id FROM incident_person WHERE incident_id = $1 AND action_id = $2 AND account_id > $3
		ORDER BY account_id LIMIT $4`, incidentID, action, after, limit))
}

// PeopleDone is [People] for those to whom the action was done.
func PeopleDone(tx *db.Tx, incidentID, action, after string, limit int) ([]string, error) {
	return db.Strings(tx.Query(`SELECT account_id FROM incident_person WHERE incident_id = $1 AND action_id = $2 AND account_id > $3 AND done_at IS NOT NULL
		ORDER BY account_id LIMIT $4`, incidentID, action, after, limit))
}

// PersonDone notes that an action was done to somebody, and when.
func PersonDone(tx *db.Tx, incidentID, action, account string, at time.Time) error {
	_, err := tx.Exec(`UPDATE incident_person SET done_at = $4 WHERE incident_id = $1 AND action_id = $2 AND account_id = $3`,
		incidentID, action, account, db.Micros(at))
	return err
}

// Release notes that an action holds somebody no longer, and returns when it was done to them: the zero time if it holds
// nobody of that name. Whoever calls it holds the account's row.
func Release(tx *db.Tx, a Action, account string) (doneAt time.Time, err error) {
	var done *int64
	err = tx.QueryRow(`SELECT done_at FROM incident_person WHERE incident_id = $1 AND action_id = $2 AND account_id = $3`, a.Incident, a.ID, account).Scan(&done)
	if errors.Is(err, db.ErrNoRows) || err == nil && done == nil {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	_, err = tx.Exec(`UPDATE incident_person SET done_at = NULL WHERE incident_id = $1 AND action_id = $2 AND account_id = $3`, a.Incident, a.ID, account)
	return db.Time(*done), err
}

// Claim is an action that holds somebody.
type Claim struct {
	Wants           json.RawMessage
	BeganAt, DoneAt time.Time
}

// Claims returns the actions of a kind but one that hold an account: they were done to it, and not taken back. Whoever calls
// it holds the account's row.
func Claims(tx *db.Tx, does, account, except string) (list []Claim, err error) {
	rows, err := tx.Query(`SELECT a.wants, a.began_at, p.done_at FROM incident_person AS p JOIN incident_action AS a ON a.id = p.action_id
		WHERE p.account_id = $1 AND p.done_at IS NOT NULL AND a.action = $2 AND a.id <> $3 AND a.state <> 'undone' ORDER BY a.id`, account, does, except)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			wants       string
			began, done int64
		)
		if err := rows.Scan(&wants, &began, &done); err != nil {
			return nil, err
		}
		list = append(list, Claim{json.RawMessage(wants), db.Time(began), db.Time(done)})
	}
	return list, rows.Err()
}

// CountPeople is how many people an incident touches, each counted once.
func CountPeople(tx *db.Tx, incidentID string) (n int64, err error) {
	err = tx.QueryRow(`SELECT COUNT(DISTINCT account_id) FROM incident_person WHERE incident_id = $1`, incidentID).Scan(&n)
	return n, err
}

// Forget takes those out of an incident whom an action named that is never done.
func Forget(tx *db.Tx, a Action) error {
	_, err := tx.Exec(`DELETE FROM incident_person WHERE incident_id = $1 AND action_id = $2`, a.Incident, a.ID)
	return err
}

// InOpen reports whether an open incident touches an account: nothing of it goes for its age meanwhile.
func InOpen(tx *db.Tx, account string) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT COUNT(*) FROM incident_person AS p JOIN incident AS i ON i.id = p.incident_id
		WHERE p.account_id = $1 AND i.closed_at IS NULL`, account).Scan(&n)
	return n > 0, err
}

// Erase takes an account out of all incidents: whom they touched, and who acted.
func Erase(tx *db.Tx, account string) error {
	_, people := tx.Exec(`DELETE FROM incident_person WHERE account_id = $1`, account)
	_, actions := tx.Exec(`UPDATE incident_action SET actor = '' WHERE actor = $1`, account)
	_, approvals := tx.Exec(`UPDATE incident_action SET approved_by = '' WHERE approved_by = $1`, account)
	_, entries := tx.Exec(`UPDATE incident_entry SET actor = '' WHERE actor = $1`, account)
	_, steps := tx.Exec(`UPDATE incident_step SET actor = '' WHERE actor = $1`, account)
	return errors.Join(people, actions, approvals, entries, steps)
}

// AllPeople returns up to limit accounts that an incident touches, each once, from the one after the given id on.
func AllPeople(tx *db.Tx, incidentID, after string, limit int) ([]string, error) {
	return db.Strings(tx.Query(`SELECT DISTINCT account_id FROM incident_person WHERE incident_id = $1 AND account_id > $2 ORDER BY account_id LIMIT $3`,
		incidentID, after, limit))
}

// AddUnnotified has an action be about the next of those whom the incident touches, up to limit accounts after the given id: but
// for those whom an earlier action of the kind has reached, or one that goes on still names. It returns the last account that it
// has looked at, empty if there are no more. Whoever calls it holds the incident's row, so that two actions don't name the same
// people.
func AddUnnotified(tx *db.Tx, a Action, after string, limit int, now time.Time) (last string, err error) {
	list, err := AllPeople(tx, a.Incident, after, limit)
	if err != nil || len(list) == 0 {
		return "", err
	}
	last = list[len(list)-1]
	_, err = tx.Exec(`INSERT INTO incident_person (incident_id, action_id, account_id, added_at, done_at)
		SELECT DISTINCT p.incident_id, CAST($2 AS TEXT), p.account_id, CAST($4 AS BIGINT), CAST(NULL AS BIGINT) FROM incident_person AS p
		WHERE p.incident_id = $1 AND p.account_id > $5 AND p.account_id <= $6 AND NOT EXISTS (
			SELECT 1 FROM incident_person AS q JOIN incident_action AS b ON b.id = q.action_id
			WHERE q.incident_id = $1 AND q.account_id = p.account_id AND b.action = $3 AND (q.done_at IS NOT NULL OR b.ended_at IS NULL))`,
		a.Incident, a.ID, a.Does, db.Micros(now), after, last)
	return last, err
}

// CountUnnotified is how many those are, and how many those whom one that goes on still names.
func CountUnnotified(tx *db.Tx, incidentID, kind string) (left, going int64, err error) {
	err = tx.QueryRow(`SELECT (SELECT COUNT(DISTINCT p.account_id) FROM incident_person AS p WHERE p.incident_id = $1 AND NOT EXISTS (
			SELECT 1 FROM incident_person AS q JOIN incident_action AS b ON b.id = q.action_id
			WHERE q.incident_id = $1 AND q.account_id = p.account_id AND b.action = $2 AND (q.done_at IS NOT NULL OR b.ended_at IS NULL))),
		(SELECT COUNT(*) FROM incident_person AS q JOIN incident_action AS b ON b.id = q.action_id
			WHERE q.incident_id = $1 AND b.action = $2 AND q.done_at IS NULL AND b.ended_at IS NULL)`, incidentID, kind).Scan(&left, &going)
	return left, going, err
}
