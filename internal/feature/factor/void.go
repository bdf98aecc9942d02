package factor

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// VoidPending ends up to limit sign-ins that wait, and apps that are being added, of an account, or of everybody if that is
// empty, as far as they began before a time. It returns how many they were.
func VoidPending(tx *db.Tx, account string, before time.Time, limit int) (n int64, err error) {
	n, err = tx.Exec(`DELETE FROM pending WHERE id IN (SELECT id FROM pending WHERE ($1 = '' OR account_id = $1) AND made_at < $2 LIMIT $3)`,
		account, db.Micros(before), limit)
	if err != nil {
		return 0, err
	}
	offers, err := tx.Exec(`DELETE FROM totp_offer WHERE account_id IN (
		SELECT account_id FROM totp_offer WHERE ($1 = '' OR account_id = $1) AND expires_at < $2 LIMIT $3)`,
		account, db.Micros(before.Add(OfferLife)), limit)
	return n + offers, err
}

// CountPending is how many sign-ins wait, of an account or of everybody.
func CountPending(tx *db.Tx, account string, now time.Time) (n int64, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM pending WHERE ($1 = '' OR account_id = $1) AND expires_at > $2`, account, db.Micros(now)).Scan(&n)
	return n, err
}
