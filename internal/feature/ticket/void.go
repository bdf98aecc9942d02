package ticket

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// VoidMade makes void up to limit tickets of everybody that were made before a time and are not used: all but the ways back,
// which are the owners'. It returns how many they were.
func VoidMade(tx *db.Tx, before time.Time, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM ticket WHERE id IN (SELECT id FROM ticket WHERE id < $1 AND used_at IS NULL AND purpose <> 'undo' AND purpose <> 'not_me'
		AND purpose <> 'undo_factor' AND purpose <> 'stop_reset' LIMIT $2)`, secret.FirstID(before), limit)
}

// CountVoidable counts what [VoidMade] would make void, or of one account what [Void] would, if that is not empty.
func CountVoidable(tx *db.Tx, account string, now time.Time) (n int64, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM ticket WHERE ($1 = '' OR account_id = $1) AND used_at IS NULL AND expires_at > $2 AND purpose <> 'undo'
		AND purpose <> 'not_me' AND purpose <> 'undo_factor' AND purpose <> 'stop_reset'`, account, db.Micros(now)).Scan(&n)
	return n, err
}

// VoidOf makes void what [VoidMade] would, of one account, and returns how many they were.
func VoidOf(tx *db.Tx, account string) (int64, error) {
	return tx.Exec(`DELETE FROM ticket WHERE account_id = $1 AND used_at IS NULL AND purpose <> 'undo' AND purpose <> 'not_me'
		AND purpose <> 'undo_factor' AND purpose <> 'stop_reset'`, account)
}
