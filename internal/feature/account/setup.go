package account

import (
	"crypto/sha256"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// HasAdmin reports whether there has ever been an administrator. Once there
// was one, the set-up link is closed for good: it must not open again because
// the last administrator was removed.
func HasAdmin(tx *db.Tx) (bool, error) {
	var at *int64
	err := tx.QueryRow(`SELECT admin_at FROM install`).Scan(&at)
	return at != nil, err
}

// ClaimFirstAdmin records that there is an administrator now, and reports
// whether there was none before: of any number at once, one gets true.
func ClaimFirstAdmin(tx *db.Tx, now time.Time) (first bool, err error) {
	n, err := tx.Exec(`UPDATE install SET admin_at = $1 WHERE admin_at IS NULL`, db.Micros(now))
	if err != nil || n == 0 {
		return false, err
	}
	_, err = tx.Exec(`DELETE FROM setup_link`)
	return true, err
}

// AddSetupLink keeps the hash of a set-up link's token until it expires.
func AddSetupLink(tx *db.Tx, token string, now, expires time.Time) error {
	hash := sha256.Sum256([]byte(token))
	if _, err := tx.Exec(`DELETE FROM setup_link WHERE expires_at <= $1`, db.Micros(now)); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO setup_link (hash, created_at, expires_at) VALUES ($1, $2, $3)`,
		hash[:], db.Micros(now), db.Micros(expires))
	return err
}

// HasSetupLink reports whether the token is that of a link that may be used.
func HasSetupLink(tx *db.Tx, token string, now time.Time) (bool, error) {
	hash := sha256.Sum256([]byte(token))
	var one int64
	err := tx.QueryRow(`SELECT 1 FROM setup_link WHERE hash = $1 AND expires_at > $2`, hash[:], db.Micros(now)).Scan(&one)
	if errors.Is(err, db.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
