package event

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Entry is an event as it is read back.
type Entry struct {
	ID        string
	Time      time.Time
	Kind      Kind
	Outcome   Outcome
	Account   string
	Session   string
	RequestID string
	Address   string
	UserAgent string
	Detail    Detail
	// Erased is set when all that pointed at a person is gone.
	Erased bool
}

// read takes over the part that points at a person.
func (e *Entry) read(data string) error {
	var p personal
	if err := json.Unmarshal([]byte(data), &p); err != nil {
		return fmt.Errorf("event %s: personal part: %w", e.ID, err)
	}
	e.Account, e.Session, e.RequestID = p.Account, p.Session, p.RequestID
	e.Address, e.UserAgent, e.Detail = p.Address, p.UserAgent, p.Detail
	return nil
}

// OfPerson returns the newest events of an account, newest first: at most limit
// of them, and only those older than the entry whose id is before, if that is
// not empty.
func (l *Log) OfPerson(tx *db.Tx, account, before string, limit int) ([]Entry, error) {
	if before == "" {
		before = "g" // after every id, which is hexadecimal, in any collation
	}
	rows, err := tx.Query(`SELECT e.id, e.time, e.kind, e.outcome, p.data
		FROM event_personal AS p JOIN event AS e ON e.id = p.event_id
		WHERE p.person = $1 AND p.event_id < $2
		ORDER BY p.event_id DESC LIMIT $3`, account, before, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Entry
	for rows.Next() {
		var (
			e    Entry
			at   int64
			data string
		)
		if err := rows.Scan(&e.ID, &at, &e.Kind, &e.Outcome, &data); err != nil {
			return nil, err
		}
		e.Time = db.Time(at)
		if err := e.read(data); err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, rows.Err()
}
