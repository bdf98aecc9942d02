package notice

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Erase deletes up to limit mails about an account that is being erased, or to its address, if one is given. It is called before the
// last mail is queued, which says that the account is gone.
func Erase(tx *db.Tx, accountID, address string, limit int) (int64, error) {
	if _, err := Release(tx, accountID); err != nil {
		return 0, err
	}
	return tx.Exec(`DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE (account_id = $1 OR sent_to = $2 AND $2 <> '') LIMIT $3)`,
		accountID, address, limit)
}

// lastLife is how long the last mail to somebody who is gone may wait.
const lastLife = 24 * time.Hour

// EraseLast gives up what says that an account is gone and could not be sent within a day, with the address that
// it was to go to, and all of it where it was given up before.
func EraseLast(tx *db.Tx, now time.Time, limit int) (int64, error) {
	return tx.Exec(`UPDATE outbox SET due_at = NULL, dead_at = COALESCE(dead_at, $1), sealed = NULL, sent_to = '', error = $3
		WHERE id IN (SELECT id FROM outbox WHERE kind = 'account_deleted' AND created_at <= $2 AND sealed IS NOT NULL LIMIT $4)`,
		db.Micros(now), db.Micros(now.Add(-lastLife)), expired, limit)
}
