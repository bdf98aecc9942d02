package session

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Known reports whether the account was signed in to with this device from this
// network before: by a session that lives, or is still kept, and that nobody but
// its owner has ended. Those from before its password was set do not count: they
// may have been somebody else's. If it is not, others is with how many devices and
// networks it was signed in to since the given time. Whoever calls it holds the
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
