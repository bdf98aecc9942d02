package account

import (
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// AskFactor notes that somebody signs in now who must add a second factor, unless that was noted before, and returns when it
// was first. It takes the account's row.
func AskFactor(tx *db.Tx, id string, now time.Time) (since time.Time, err error) {
	var at int64
	err = tx.QueryRow(`UPDATE account SET factor_asked_at = COALESCE(factor_asked_at, $2) WHERE id = $1 RETURNING factor_asked_at`, id, db.Micros(now)).Scan(&at)
	if errors.Is(err, db.ErrNoRows) {
		err = ErrNotFound
	}
	return db.Time(at), err
}

// FactorAskedAt is when [AskFactor] was first called for the account; zero if it never was, or there is no such account.
func FactorAskedAt(tx *db.Tx, id string) (time.Time, error) {
	var at *int64
	err := tx.QueryRow(`SELECT factor_asked_at FROM account WHERE id = $1`, id).Scan(&at)
	if errors.Is(err, db.ErrNoRows) {
		return time.Time{}, nil
	}
	return db.TimeOrZero(at), err
}
