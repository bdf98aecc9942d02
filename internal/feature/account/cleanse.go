package account

import (
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Cleanse gives an account whose address nobody has verified to who has shown now that it is theirs: what was chosen in it is gone,
// the password first of all, and the address is verified. It takes the account's row, and returns ErrNotFound if the
// account is disabled, or its address is another, or verified by now. The caller takes away all else that somebody could wait with.
func Cleanse(tx *db.Tx, id, addressKey string, now time.Time) (h Holder, err error) {
	h, err = scanHolder(tx.QueryRow(`UPDATE account SET hash = '', password_n = password_n + 1, password_at = $3, reset_at = NULL, verified_at = $3,
			reset_n = address_n, name = '', locale = '', factors = 0, factor_n = factor_n + 1, handle = NULL
		WHERE id = $1 AND email_key = $2 AND verified_at IS NULL AND disabled_at IS NULL
		RETURNING id, email, email_key, name, locale, hash, password_n, verified_at, disabled_at, factors, factor_n`, id, addressKey, db.Micros(now)))
	if err != nil {
		return h, err
	}
	if _, err := tx.Exec(`DELETE FROM former_password WHERE account_id = $1`, id); err != nil {
		return h, err
	}
	return h, rewriteWords(tx, id)
}

// HoldVerified takes the account's row if it may sign in and has shown that the address is its own, or returns ErrNotFound.
func HoldVerified(tx *db.Tx, id, addressKey string) (Holder, error) {
	return scanHolder(tx.QueryRow(`UPDATE account SET factor_n = factor_n
		WHERE id = $1 AND email_key = $2 AND verified_at IS NOT NULL AND disabled_at IS NULL AND reset_at IS NULL
		RETURNING id, email, email_key, name, locale, hash, password_n, verified_at, disabled_at, factors, factor_n`, id, addressKey))
}

// HoldUsable takes the account's row if it may sign in, or returns ErrNotFound.
func HoldUsable(tx *db.Tx, id string) (Holder, error) {
	return scanHolder(tx.QueryRow(`UPDATE account SET factor_n = factor_n WHERE id = $1 AND disabled_at IS NULL AND reset_at IS NULL
		RETURNING id, email, email_key, name, locale, hash, password_n, verified_at, disabled_at, factors, factor_n`, id))
}

// Taken reports whether an address has an account, and the account as a sign-in sees it.
func Taken(tx *db.Tx, a Address) (c Credentials, taken bool, err error) {
	c, err = ByAddress(tx, a)
	if errors.Is(err, ErrNotFound) {
		return Credentials{}, false, nil
	}
	return c, err == nil, err
}
