// Package hold keeps what is about to be deleted: while a hold stands, for a lawsuit or an
// incident, nothing goes because of its age, and nobody is erased. Whoever deletes asks in
// the transaction that deletes, so a hold stops a run within a batch.
package hold

import (
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Longest is how long a hold may last; it can be set again.
const Longest = 366 * 24 * time.Hour

// Hold is one that stands.
type Hold struct {
	Set, Until time.Time
	Reason     string
	// By is who set it: the system's user and machine, or an administrator's account.
	By string
}

// Put sets a hold in place of the one that stands.
func Put(tx *db.Tx, h Hold) error {
	if !h.Until.After(h.Set) || h.Until.Sub(h.Set) > Longest {
		return fault.Field("until", "invalid_time", "A pause ends at a time to come, within a year. It can be set again.")
	}
	_, err := tx.Exec(`INSERT INTO hold (one, set_at, until_at, reason, set_by) VALUES (1, $1, $2, $3, $4)
		ON CONFLICT (one) DO UPDATE SET set_at = $1, until_at = $2, reason = $3, set_by = $4`,
		db.Micros(h.Set), db.Micros(h.Until), h.Reason, h.By)
	return err
}

// Lift ends the hold, and reports whether one stood.
func Lift(tx *db.Tx, now time.Time) (bool, error) {
	n, err := tx.Exec(`DELETE FROM hold WHERE one = 1 AND until_at > $1`, db.Micros(now))
	return n == 1, err
}

// Standing returns the hold that stands, if one does.
func Standing(tx *db.Tx, now time.Time) (h Hold, stands bool, err error) {
	var set, until int64
	err = tx.QueryRow(`SELECT set_at, until_at, reason, set_by FROM hold WHERE one = 1 AND until_at > $1`, db.Micros(now)).
		Scan(&set, &until, &h.Reason, &h.By)
	if errors.Is(err, db.ErrNoRows) {
		return h, false, nil
	}
	h.Set, h.Until = db.Time(set), db.Time(until)
	return h, err == nil, err
}
