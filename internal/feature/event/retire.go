package event

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// RetireAfter is the youngest that events may be deleted at: the database
// itself refuses to delete any that are younger.
const RetireAfter = 30 * 24 * time.Hour

// erasedPart is one event whose personal part is erased: its id, and what its hash
// holds of that part.
type erasedPart [2]string

// hashOf is what the statement says of the events of an erasure.
func hashOf(parts []erasedPart) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p[0] + " " + p[1] + "\n"))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Erase deletes what points at a person in up to limit of that person's events,
// and returns in how many. The events stay, and verify: what their hash holds of
// the personal part is kept. An event in the same transaction says how many they
// are, and names them by a hash; what no such event names is no erasure by the
// rules. Call it until it returns 0 (GDPR-3).
func (l *Log) Erase(tx *db.Tx, person string, limit int, by string, from Origin) (int, error) {
	if person == "" {
		return 0, errors.New("event: nobody is to be erased")
	}
	rows, err := tx.Query(`SELECT event_id, salt, data FROM event_personal WHERE person = $1 ORDER BY event_id LIMIT $2`, person, limit)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var parts []erasedPart
	for rows.Next() {
		var (
			id, data string
			salt     []byte
		)
		if err := rows.Scan(&id, &salt, &data); err != nil {
			return 0, err
		}
		parts = append(parts, erasedPart{id, commitment(salt, []byte(data))})
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(parts) == 0 {
		return 0, err
	}
	slices.SortFunc(parts, func(a, b erasedPart) int { return strings.Compare(a[0], b[0]) }) // whatever the database's collation
	statement := l.append(tx, Event{
		Kind: EventsErased, Outcome: Success, Origin: from, Detail: Detail{By: by, Count: int64(len(parts)), Hash: hashOf(parts)},
	})
	// A trigger holds it against the statement and erases: the serving role may not.
	tx.Defer(`INSERT INTO event_erasure (statement, parts, time) VALUES ($1, $2, $3)`, statement, string(encode(parts)), db.Micros(l.now()))
	return len(parts), nil
}

// Retirable returns the leaf up to which all events are older than a time, and
// how many of them are still there.
func Retirable(tx *db.Tx, before time.Time) (until, events int64, err error) {
	// Ids begin with the time. An event may be sealed after younger ones, by less
	// than a transaction can last.
	err = tx.QueryRow(`SELECT COALESCE(MIN(l.n), (SELECT size FROM event_head WHERE one = 1)) FROM event_leaf AS l
		WHERE l.event_id IN (SELECT id FROM event WHERE id >= $1 ORDER BY id LIMIT 10000)`, secret.FirstID(before)).Scan(&until)
	if err != nil {
		return 0, 0, err
	}
	done, err := retired(tx)
	return until, max(until-done, 0), err
}

func retired(tx *db.Tx) (until int64, err error) {
	err = tx.QueryRow(`SELECT COALESCE(MAX(until), 0) FROM event_retired`).Scan(&until)
	return until, err
}

// StateRetirement appends the event that says that all events before a leaf are
// deleted for their age. [Log.Retire] does it; without the statement their
// absence is a finding.
func (l *Log) StateRetirement(tx *db.Tx, until int64, by string) {
	l.Append(tx, Event{Kind: EventsRetired, Outcome: Success, Detail: Detail{By: by, Until: until}})
}

// Retire deletes up to limit events before a leaf, and returns how many leaves
// it went through. Their leaves stay, so the log still verifies. Call it until
// it returns 0 (RET-2).
func (l *Log) Retire(tx *db.Tx, until int64, limit int) (int64, error) {
	from, err := retired(tx)
	if err != nil {
		return 0, err
	}
	to := min(until, from+int64(limit))
	if to <= from {
		return 0, nil
	}
	var statement string
	if err := tx.QueryRow(`SELECT COALESCE(MAX(id), '') FROM event WHERE kind = $1`, string(EventsRetired)).Scan(&statement); err != nil {
		return 0, err
	}
	if statement == "" {
		return 0, fmt.Errorf("event: leaves up to %d are to be retired without a statement", until)
	}
	// A trigger deletes the events: the serving role may not.
	_, err = tx.Exec(`INSERT INTO event_retired (n, until, event_id, time) VALUES ($1, $2, $3, $4)`, from, to, statement, db.Micros(l.now()))
	return to - from, err
}
