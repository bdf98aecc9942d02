package account

import (
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Holder is an account as those flows see it that change its password or its
// address.
type Holder struct {
	ID, Email, Key, Name, Locale string
	Hash                         string
	// PasswordN is how often the password was replaced. What is to happen only under
	// the same password names it, and so waits for whoever changes it.
	PasswordN          int64
	Verified, Disabled bool
	// Factors is how many second factors the account has, FactorN how often they have changed.
	Factors, FactorN int64
}

// HolderByID returns the account with the id, or ErrNotFound.
func HolderByID(tx *db.Tx, id string) (Holder, error) {
	return scanHolder(tx.QueryRow(`SELECT id, email, email_key, name, locale, hash, password_n, verified_at, disabled_at, factors, factor_n
		FROM account WHERE id = $1`, id))
}

// HolderByAddress returns the account with the address, or ErrNotFound.
func HolderByAddress(tx *db.Tx, a Address) (Holder, error) {
	return scanHolder(tx.QueryRow(`SELECT id, email, email_key, name, locale, hash, password_n, verified_at, disabled_at, factors, factor_n
		FROM account WHERE email_key = $1`, a.Key))
}

func scanHolder(row *db.Row) (h Holder, err error) {
	var verified, disabled *int64
	err = row.Scan(&h.ID, &h.Email, &h.Key, &h.Name, &h.Locale, &h.Hash, &h.PasswordN, &verified, &disabled, &h.Factors, &h.FactorN)
	if errors.Is(err, db.ErrNoRows) {
		return Holder{}, ErrNotFound
	}
	h.Verified, h.Disabled = verified != nil, disabled != nil
	return h, err
}

// PasswordN returns how often the account's password was replaced.
func PasswordN(tx *db.Tx, id string) (n int64, err error) {
	err = tx.QueryRow(`SELECT password_n FROM account WHERE id = $1`, id).Scan(&n)
	if errors.Is(err, db.ErrNoRows) {
		err = ErrNotFound
	}
	return n, err
}

// SetPassword replaces the password of an enabled account, if it is still the one
// that the number counts, and reports whether it was. A reset that was demanded is
// done with it. If verified is set, whoever does it has shown that the address is
// theirs; if nobody had before, they have not chosen the name and the locale either,
// which are emptied.
func SetPassword(tx *db.Tx, id string, n int64, hash string, verified bool, now time.Time) (bool, error) {
	var at *int64
	if verified {
		at = new(db.Micros(now))
	}
	rows, err := tx.Exec(`UPDATE account SET hash = $3, password_n = password_n + 1, password_at = $4, reset_at = NULL, verified_at = COALESCE(verified_at, $5),
			reset_n = CASE WHEN $5 IS NULL THEN reset_n ELSE address_n END,
			name = CASE WHEN verified_at IS NULL AND $5 IS NOT NULL THEN '' ELSE name END,
			locale = CASE WHEN verified_at IS NULL AND $5 IS NOT NULL THEN '' ELSE locale END
		WHERE id = $1 AND password_n = $2 AND disabled_at IS NULL`, id, n, hash, db.Micros(now), at)
	if err == nil && rows == 1 && verified {
		err = rewriteWords(tx, id)
	}
	return rows == 1, err
}

// DemandReset keeps everybody from signing in until the password was reset, if it
// is still the one that the number counts, and reports whether it was. It counts as a
// replaced password: whatever was begun under the old one comes too late. next is the
// number from then on.
func DemandReset(tx *db.Tx, id string, n int64, now time.Time) (next int64, ok bool, err error) {
	err = tx.QueryRow(`UPDATE account SET reset_at = COALESCE(reset_at, $3), password_n = password_n + 1 WHERE id = $1 AND password_n = $2
		RETURNING password_n`, id, n, db.Micros(now)).Scan(&next)
	if errors.Is(err, db.ErrNoRows) {
		return 0, false, nil
	}
	return next, err == nil, err
}

// Recover takes the row of an enabled account that somebody has shown to be theirs, and
// demands a reset as [DemandReset] does, whatever has become of the password
// meanwhile. It returns ErrNotFound if there is no such account, or it is disabled.
func Recover(tx *db.Tx, id string, now time.Time) (Holder, error) {
	return scanHolder(tx.QueryRow(`UPDATE account SET reset_at = COALESCE(reset_at, $2), password_n = password_n + 1 WHERE id = $1 AND disabled_at IS NULL
		RETURNING id, email, email_key, name, locale, hash, password_n, verified_at, disabled_at, factors, factor_n`, id, db.Micros(now)))
}

// Confirm marks the address as verified, if it is still the given one and so is
// the password that the number counts, and reports whether they were.
func Confirm(tx *db.Tx, id string, n int64, key string, now time.Time) (bool, error) {
	rows, err := tx.Exec(`UPDATE account SET verified_at = COALESCE(verified_at, $4) WHERE id = $1 AND password_n = $2 AND email_key = $3 AND disabled_at IS NULL`,
		id, n, key, db.Micros(now))
	return rows == 1, err
}

// SetAddress gives the account another address, which is verified, if the
// password is still the one that the number counts and the address is nobody
// else's, and reports whether that was so. n is how often the address has been changed
// from then on; to write the same one otherwise is no change.
func SetAddress(tx *db.Tx, id string, passwordN int64, typed, key string, now time.Time) (n int64, ok bool, err error) {
	err = tx.QueryRow(`UPDATE account SET email = $3, email_key = $4, verified_at = $5,
			address_n = CASE WHEN email_key = $4 THEN address_n ELSE address_n + 1 END
		WHERE id = $1 AND password_n = $2 AND disabled_at IS NULL
		AND NOT EXISTS (SELECT 1 FROM account AS other WHERE other.email_key = $4 AND other.id <> $1) RETURNING address_n`,
		id, passwordN, typed, key, db.Micros(now)).Scan(&n)
	if errors.Is(err, db.ErrNoRows) {
		return 0, false, nil
	}
	if err == nil {
		err = rewriteWords(tx, id)
	}
	return n, err == nil, err
}

// Displace takes an address away from the account that has it and never showed that it
// is its own, unless that is the given account: somebody else has shown that now. The
// account is disabled, and has an address from then on that nobody has (RFC 2606). It
// returns the account's id, or an empty one if there is none.
func Displace(tx *db.Tx, key, but string, now time.Time) (id string, err error) {
	err = tx.QueryRow(`UPDATE account SET email = id || '@displaced.invalid', email_key = id || '@displaced.invalid', name = '', locale = '',
			disabled_at = COALESCE(disabled_at, $3), password_n = password_n + 1
		WHERE email_key = $1 AND id <> $2 AND verified_at IS NULL RETURNING id`, key, but, db.Micros(now)).Scan(&id)
	if errors.Is(err, db.ErrNoRows) {
		return "", nil
	}
	if err == nil {
		err = rewriteWords(tx, id)
	}
	return id, err
}
