package event

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
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

// Erasure is what an event states that is to be erased.
type Erasure struct {
	statement string
	parts     []erasedPart
}

// Events returns of how many events the personal part goes.
func (e Erasure) Events() int { return len(e.parts) }

// Statement is the id of the event that states it: see [SealUntil].
func (e Erasure) Statement() string { return e.statement }

// StateErasure appends the event that states an erasure: that what points at a person
// goes from up to limit of that person's events. It says how many they are, and names them
// by a hash. Seal it, then call [Log.Erase]: nothing is erased without a sealed statement
// first, so every erasure leaves a trace before anything is gone. One that is stated and never done is no
// finding.
func (l *Log) StateErasure(tx *db.Tx, person string, limit int, by string, from Origin) (e Erasure, err error) {
	if person == "" {
		return e, errors.New("event: no account to erase")
	}
	rows, err := tx.Query(`SELECT event_id, salt, data FROM event_personal WHERE person = $1 ORDER BY event_id LIMIT $2`, person, limit)
	if err != nil {
		return e, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			id, data string
			salt     []byte
		)
		if err := rows.Scan(&id, &salt, &data); err != nil {
			return e, err
		}
		e.parts = append(e.parts, erasedPart{id, commitment(salt, []byte(data))})
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(e.parts) == 0 {
		return Erasure{}, err
	}
	slices.SortFunc(e.parts, func(a, b erasedPart) int { return strings.Compare(a[0], b[0]) }) // whatever the database's collation
	e.statement = l.append(tx, Event{
		Kind: EventsErased, Outcome: Success, Origin: from, Detail: Detail{By: by, Count: int64(len(e.parts)), Hash: hashOf(e.parts)},
	})
	return e, nil
}

// Erase deletes what a sealed event states. The events stay, and verify: what their hash
// holds of the personal part is kept (GDPR-3). A trigger holds it against the statement and erases: the
// serving role may not. It fails if the statement is not sealed, or if some of it was erased
// since by someone else; then state the rest again.
func (l *Log) Erase(tx *db.Tx, e Erasure) error {
	_, err := tx.Exec(`INSERT INTO event_erasure (statement, parts, time) VALUES ($1, $2, $3)`, e.statement, string(encode(e.parts)), db.Micros(l.now()))
	return err
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
	err = tx.QueryRow(`SELECT until FROM event_retired ORDER BY n DESC LIMIT 1`).Scan(&until)
	if errors.Is(err, db.ErrNoRows) {
		return 0, nil
	}
	return until, err
}

// StateRetirement appends the event that says that all events before a leaf are
// deleted for their age, and returns its id. Seal it, then call [Log.Retire]: without the
// statement their absence is a finding.
func (l *Log) StateRetirement(tx *db.Tx, until int64, by string) string {
	return l.append(tx, Event{Kind: EventsRetired, Outcome: Success, Detail: Detail{By: by, Until: until}})
}

// Retire deletes up to limit events before a leaf, as a sealed event states, and returns
// how many leaves it went through. Their leaves stay, so the log still verifies. Call it
// until it returns 0 (RET-2).
func (l *Log) Retire(tx *db.Tx, statement string, until int64, limit int) (int64, error) {
	from, err := retired(tx)
	if err != nil {
		return 0, err
	}
	to := min(until, from+int64(limit))
	if to <= from {
		return 0, nil
	}
	// A trigger holds the statement against it and deletes the events: the serving role may not.
	_, err = tx.Exec(`INSERT INTO event_retired (n, until, event_id, time) VALUES ($1, $2, $3, $4)`, from, to, statement, db.Micros(l.now()))
	return to - from, err
}

// Oldest returns the time of the oldest event that is there, zero if there is none.
func Oldest(tx *db.Tx) (time.Time, error) {
	var at int64
	err := tx.QueryRow(`SELECT time FROM event ORDER BY id LIMIT 1`).Scan(&at)
	if errors.Is(err, db.ErrNoRows) {
		return time.Time{}, nil
	}
	return db.Time(at), err
}
