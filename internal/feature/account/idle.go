package account

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Idle is an account that nobody has signed in to since a time.
type Idle struct {
	ID, Email, Name, Locale string
	// Since is when somebody last signed in, or when the account was made.
	Since time.Time
}

// IdleAfter looks at up to limit accounts behind an id, in the order of their ids, which begin
// with the time of their making, and returns those that nobody has signed in to since a
// time, that may sign in, and that have no role: others are never deleted for their age. last
// is the last one that was looked at, and looked how many were.
func IdleAfter(tx *db.Tx, after string, since time.Time, limit int) (list []Idle, last string, looked int, err error) {
	rows, err := tx.Query(`SELECT id, email, name, locale, COALESCE(signed_in_at, created_at), created_at,
		CASE WHEN roles = '[]' AND disabled_at IS NULL AND erase_at IS NULL THEN 1 ELSE 0 END
		FROM account WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3`, after, secret.FirstID(since), limit)
	if err != nil {
		return nil, after, 0, err
	}
	defer rows.Close()
	last = after
	for rows.Next() {
		var (
			a              Idle
			signedIn, made int64
			may            int64
		)
		if err := rows.Scan(&a.ID, &a.Email, &a.Name, &a.Locale, &signedIn, &made, &may); err != nil {
			return nil, after, 0, err
		}
		last, looked = a.ID, looked+1
		if a.Since = db.Time(max(signedIn, made)); may == 1 && a.Since.Before(since) {
			list = append(list, a)
		}
	}
	return list, last, looked, rows.Err()
}

// EraseIdle makes that an account is erased from now on, unless somebody has signed in since it was
// looked at, or it is none that is deleted for its age any more. It takes the account's
// row, as a sign-in does, so of the two one comes wholly first; and a sign-in that comes later keeps the account.
func EraseIdle(tx *db.Tx, a Idle, now time.Time) (erased bool, err error) {
	n, err := tx.Exec(`UPDATE account SET erase_at = $3, erase_why = $4 WHERE id = $1 AND COALESCE(signed_in_at, created_at) <= $2 AND created_at <= $2
		AND roles = '[]' AND disabled_at IS NULL AND erase_at IS NULL`, a.ID, db.Micros(a.Since), db.Micros(now), string(EraseInactive))
	return n == 1, err
}

// Count returns how many accounts there are.
func Count(tx *db.Tx) (n int64, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM account`).Scan(&n)
	return n, err
}
