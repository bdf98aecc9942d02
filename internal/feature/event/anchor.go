package event

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// NoteAnchor notes whether checkpoints can be sent to the anchor, for all replicas:
// the replica that seals knows, and the one that watches may be another.
func NoteAnchor(tx *db.Tx, failing bool, now time.Time) error {
	if failing {
		_, err := tx.Exec(`INSERT INTO event_anchor (one, failing_since) VALUES (1, $1) ON CONFLICT (one) DO NOTHING`, db.Micros(now))
		return err
	}
	_, err := tx.Exec(`DELETE FROM event_anchor WHERE one = 1`)
	return err
}

// AnchorFails reports whether checkpoints could not be sent for at least so long.
func AnchorFails(tx *db.Tx, long time.Duration, now time.Time) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT COUNT(*) FROM event_anchor WHERE failing_since <= $1`, db.Micros(now.Add(-long))).Scan(&n)
	return n > 0, err
}
