package lockout

import (
	"crypto/sha256"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// LinkLife is how long the link in a mail about a lockout works. It does not sign anyone
// in, and an attacker chooses when the guessing begins, so it is a day.
const LinkLife = 24 * time.Hour

// linkPrefix begins the token of every link in a mail, so that scanners for
// leaked secrets can find them.
const linkPrefix = "gatehouse_mt_"

// ErrLink is for a link that does not work.
var ErrLink = fault.New(fault.Invalid, "invalid_link",
	"This link does not work, or no longer works: it can be used once, within a day. If you can't sign in, set a new password with \"Forgot password\".")

// AddLink creates the link of a mail about a lockout, which makes one browser a
// known device, and returns its token. The statement is deferred.
func (s *Store) AddLink(tx *db.Tx, accountID, addressKey string, now time.Time) (token string) {
	token = linkPrefix + s.random.Text(secret.KeySize)
	hash := sha256.Sum256([]byte(token))
	tx.Defer(`INSERT INTO unlock_link (hash, account_id, account, cookie, expires_at) VALUES ($1, $2, $3, $4, $5)`,
		hash[:], accountID, s.bucket("account", addressKey), s.CookieName(addressKey), db.Micros(now.Add(LinkLife)))
	return token
}

// UseLink uses a link up, makes a device known to its account, and returns that
// account's id and the device's cookie; or ErrLink. Of any number at once one
// gets it.
func (s *Store) UseLink(tx *db.Tx, token string, now time.Time) (accountID, cookie, value string, err error) {
	hash := sha256.Sum256([]byte(token))
	var account string
	err = tx.QueryRow(`UPDATE unlock_link SET used_at = $2 WHERE hash = $1 AND used_at IS NULL AND expires_at > $2 RETURNING account_id, account, cookie`,
		hash[:], db.Micros(now)).Scan(&accountID, &account, &cookie)
	if errors.Is(err, db.ErrNoRows) {
		return "", "", "", ErrLink
	}
	if err != nil {
		return "", "", "", err
	}
	return accountID, cookie, s.remember(tx, "", accountID, account, now), nil
}

// ForgetLinks deletes links that expired before a time.
func ForgetLinks(tx *db.Tx, b db.Batch) (db.Swept, error) {
	s, err := b.Read(tx.Query(`SELECT expires_at, '', 1, expires_at FROM unlock_link WHERE expires_at > $1 AND expires_at < $2 ORDER BY expires_at LIMIT $3`,
		b.After.At, b.Before, b.Keys))
	if err == nil && b.Deletes(s) {
		s.Due, err = tx.Exec(`DELETE FROM unlock_link WHERE expires_at > $1 AND expires_at <= $2`, b.After.At, s.Last.At)
	}
	return s, err
}

// VoidLinks makes the links of an account void.
func VoidLinks(tx *db.Tx, accountID string) error {
	_, err := tx.Exec(`DELETE FROM unlock_link WHERE account_id = $1`, accountID)
	return err
}

// VoidMadeLinks deletes up to limit links of everybody that nobody has used, as far as they end before a time, and returns how many they were.
func VoidMadeLinks(tx *db.Tx, before time.Time, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM unlock_link WHERE hash IN (SELECT hash FROM unlock_link WHERE used_at IS NULL AND expires_at < $1 LIMIT $2)`,
		db.Micros(before), limit)
}
