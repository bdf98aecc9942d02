package factor

import (
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Suspended is how many factors and recovery codes of an account were made suspect.
type Suspended struct{ Apps, Keys, Codes int64 }

// Any reports whether there was any.
func (s Suspended) Any() bool { return s.Apps+s.Keys+s.Codes > 0 }

// AddedSince counts what [SuspendSince] would make suspect of an account, or of all if it is empty.
func AddedSince(tx *db.Tx, account string, since time.Time) (s Suspended, err error) {
	err = tx.QueryRow(`SELECT (SELECT COUNT(*) FROM totp WHERE ($1 = '' OR account_id = $1) AND made_at >= $2 AND suspect_at IS NULL),
		(SELECT COUNT(*) FROM passkey WHERE ($1 = '' OR account_id = $1) AND made_at >= $2 AND suspect_at IS NULL),
		(SELECT COUNT(*) FROM recovery_code WHERE ($1 = '' OR account_id = $1) AND made_at >= $2 AND used_at IS NULL AND suspect_at IS NULL)`,
		account, db.Micros(since)).Scan(&s.Apps, &s.Keys, &s.Codes)
	return s, err
}

// ShutsOut reports whether [SuspendSince] would leave an account that has second factors none that opens it.
func ShutsOut(tx *db.Tx, account string, since time.Time) (bool, error) {
	var has, keeps int64
	err := tx.QueryRow(`SELECT (SELECT COUNT(*) FROM totp WHERE account_id = $1) + (SELECT COUNT(*) FROM passkey WHERE account_id = $1),
		(SELECT COUNT(*) FROM totp WHERE account_id = $1 AND made_at < $2 AND suspect_at IS NULL)
		+ (SELECT COUNT(*) FROM passkey WHERE account_id = $1 AND made_at < $2 AND suspect_at IS NULL)`, account, db.Micros(since)).Scan(&has, &keeps)
	return has > 0 && keeps == 0, err
}

// SuspendSince makes suspect what an account has added at a time or later: it counts, so nobody adds a first factor in its
// place, and opens nothing. at is what [Reinstate] takes back by. Whoever calls it holds the account's row.
func SuspendSince(tx *db.Tx, account string, since, at time.Time) (s Suspended, err error) {
	if s.Apps, err = tx.Exec(`UPDATE totp SET suspect_at = $3 WHERE account_id = $1 AND made_at >= $2 AND suspect_at IS NULL`,
		account, db.Micros(since), db.Micros(at)); err != nil {
		return s, err
	}
	if s.Keys, err = tx.Exec(`UPDATE passkey SET suspect_at = $3 WHERE account_id = $1 AND made_at >= $2 AND suspect_at IS NULL`,
		account, db.Micros(since), db.Micros(at)); err != nil {
		return s, err
	}
	s.Codes, err = tx.Exec(`UPDATE recovery_code SET suspect_at = $3 WHERE account_id = $1 AND made_at >= $2 AND used_at IS NULL AND suspect_at IS NULL`,
		account, db.Micros(since), db.Micros(at))
	return s, err
}

// SuspectSince reports whether an account has a factor or a recovery code from a time or later that is suspect. Whoever calls it
// holds the account's row.
func SuspectSince(tx *db.Tx, account string, since time.Time) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT (SELECT COUNT(*) FROM totp WHERE account_id = $1 AND made_at >= $2 AND suspect_at IS NOT NULL)
		+ (SELECT COUNT(*) FROM passkey WHERE account_id = $1 AND made_at >= $2 AND suspect_at IS NOT NULL)
		+ (SELECT COUNT(*) FROM recovery_code WHERE account_id = $1 AND made_at >= $2 AND suspect_at IS NOT NULL)`,
		account, db.Micros(since)).Scan(&n)
	return n > 0, err
}

// HandOver has what of an account's was made suspect at exactly one time, and added at another or later, be suspect as of a
// third: whoever [Reinstate]s by that takes it back from then on. Whoever calls it holds the account's row.
func HandOver(tx *db.Tx, account string, at, since, to time.Time) error {
	was, from, is := db.Micros(at), db.Micros(since), db.Micros(to)
	_, apps := tx.Exec(`UPDATE totp SET suspect_at = $4 WHERE account_id = $1 AND suspect_at = $2 AND made_at >= $3`, account, was, from, is)
	_, keys := tx.Exec(`UPDATE passkey SET suspect_at = $4 WHERE account_id = $1 AND suspect_at = $2 AND made_at >= $3`, account, was, from, is)
	_, codes := tx.Exec(`UPDATE recovery_code SET suspect_at = $4 WHERE account_id = $1 AND suspect_at = $2 AND made_at >= $3`, account, was, from, is)
	return errors.Join(apps, keys, codes)
}

// Reinstate takes back what of an account's was made suspect at exactly that time, and returns how many rows that were.
// Whoever calls it holds the account's row.
func Reinstate(tx *db.Tx, account string, at time.Time) (n int64, err error) {
	apps, err := tx.Exec(`UPDATE totp SET suspect_at = NULL WHERE account_id = $1 AND suspect_at = $2`, account, db.Micros(at))
	if err != nil {
		return 0, err
	}
	keys, err := tx.Exec(`UPDATE passkey SET suspect_at = NULL WHERE account_id = $1 AND suspect_at = $2`, account, db.Micros(at))
	if err != nil {
		return 0, err
	}
	codes, err := tx.Exec(`UPDATE recovery_code SET suspect_at = NULL WHERE account_id = $1 AND suspect_at = $2`, account, db.Micros(at))
	return apps + keys + codes, err
}
