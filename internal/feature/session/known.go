package session

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Known reports whether the account was signed in to with this device from this
// network before: by a session that lives, or is still kept, and that nobody but
// its owner has ended. Those from before its password was set do not count: they
// may have been somebody else's. If it is not, others is with how many devices and
// networks it was signed in to since the given time. The caller holds the
// account's row.
func Known(tx *db.Tx, b Start, passwordAt, since time.Time) (known bool, others int, err error) {
	err = tx.QueryRow(`SELECT CASE WHEN EXISTS (SELECT 1 FROM session WHERE account_id = $1 AND device = $2 AND network = $3 AND auth_at >= $4
				AND (ended_why IS NULL OR ended_why = 'logout' OR ended_why = 'too_many_sessions')) THEN -1
			ELSE (SELECT COUNT(DISTINCT device || ' ' || network) FROM session WHERE account_id = $1 AND auth_at >= $5) END`,
		b.Account, b.Device, b.Network, db.Micros(passwordAt), db.Micros(since)).Scan(&others)
	if others < 0 {
		return true, 0, err
	}
	return false, others, err
}

// CameFrom reports whether somebody has signed in to the account from the network since the given time.
func CameFrom(tx *db.Tx, account, network string, since time.Time) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT COUNT(*) FROM session WHERE account_id = $1 AND network = $2 AND auth_at >= $3`, account, network, db.Micros(since)).Scan(&n)
	return n > 0, err
}
