package account

import (
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// FactorChange is a change of an account's second factors or recovery codes.
type FactorChange struct {
	Account string
	// PasswordN and FactorN are what whoever makes it has looked at.
	PasswordN, FactorN int64
	// By is how many factors more there are.
	By int64
	// SignsIn says that the change is the end of a sign-in, Verifies that it has shown that the
	// address is the account's own.
	SignsIn, Verifies bool
}

// ChangeFactors counts a change, and returns what the account is by now. It takes the account's row. One
// that ends a sign-in keeps the account, as [SignedIn] does. It returns ErrNotFound if the account is disabled, a reset of
// its password is demanded, or its password or its factors have changed meanwhile.
func ChangeFactors(tx *db.Tx, c FactorChange, now time.Time) (Entered, error) {
	var signedIn, verified *int64
	if c.SignsIn {
		signedIn = new(db.Micros(now))
	}
	if c.Verifies {
		verified = new(db.Micros(now))
	}
	return scanEntered(tx.QueryRow(`UPDATE account SET factors = factors + $4, factor_n = factor_n + 1, signed_in_at = COALESCE($5, signed_in_at),
			verified_at = COALESCE(verified_at, $6), erase_at = CASE WHEN CAST($5 AS BIGINT) IS NULL THEN erase_at END,
			erase_why = CASE WHEN CAST($5 AS BIGINT) IS NULL THEN erase_why WHEN erase_at IS NULL THEN '' ELSE 'kept' END
		WHERE id = $1 AND password_n = $2 AND factor_n = $3 AND disabled_at IS NULL AND reset_at IS NULL AND factors + $4 >= 0
		RETURNING roles, factors, CASE WHEN CAST($5 AS BIGINT) IS NULL THEN '' ELSE erase_why END`,
		c.Account, c.PasswordN, c.FactorN, c.By, signedIn, verified))
}

// Unchanged takes the account's row, or returns ErrNotFound if the account is disabled, a reset of
// its password is demanded, or its password or its factors are not those that were looked at.
func Unchanged(tx *db.Tx, id string, passwordN, factorN int64) error {
	n, err := tx.Exec(`UPDATE account SET factor_n = factor_n WHERE id = $1 AND password_n = $2 AND factor_n = $3 AND disabled_at IS NULL AND reset_at IS NULL`,
		id, passwordN, factorN)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// FactorsRemoved counts factors that were taken away whatever else has become of the account.
// Whoever calls it holds the account's row.
func FactorsRemoved(tx *db.Tx, id string, n int) error {
	_, err := tx.Exec(`UPDATE account SET factors = factors - $2, factor_n = factor_n + 1 WHERE id = $1`, id, int64(n))
	return err
}

// TellPassword notes that the owner is told now that somebody else has the password, unless that
// was done since the given time, and reports whether it is to be done.
func TellPassword(tx *db.Tx, id string, since, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE account SET password_told_at = $2 WHERE id = $1 AND password_told_at <= $3`, id, db.Micros(now), db.Micros(since))
	return n == 1, err
}

// CountFactors returns how many second factors all accounts say that they have. It reads the whole table.
func CountFactors(tx *db.Tx) (n int64, err error) {
	err = tx.QueryRow(`SELECT CAST(COALESCE(SUM(factors), 0) AS BIGINT) FROM account`).Scan(&n)
	return n, err
}

// CountedAfter returns how many second factors up to limit accounts say that they have, from the one after the given id on, and the
// last of their ids.
func CountedAfter(tx *db.Tx, after string, limit int) (said map[string]int64, last string, err error) {
	rows, err := tx.Query(`SELECT id, factors FROM account WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	said = map[string]int64{}
	for rows.Next() {
		var n int64
		if err := rows.Scan(&last, &n); err != nil {
			return nil, "", err
		}
		said[last] = n
	}
	return said, last, rows.Err()
}

// Handle returns the account's user handle for passkeys, which is the given one if it had none, or ErrNotFound. It
// takes the account's row.
func Handle(tx *db.Tx, id string, fresh []byte) (handle []byte, err error) {
	err = tx.QueryRow(`UPDATE account SET handle = COALESCE(handle, $2) WHERE id = $1 RETURNING handle`, id, fresh).Scan(&handle)
	if errors.Is(err, db.ErrNoRows) {
		err = ErrNotFound
	}
	return handle, err
}

// HandleOf returns the account's user handle, which is empty before it has one, or ErrNotFound.
func HandleOf(tx *db.Tx, id string) (handle []byte, err error) {
	err = tx.QueryRow(`SELECT handle FROM account WHERE id = $1`, id).Scan(&handle)
	if errors.Is(err, db.ErrNoRows) {
		err = ErrNotFound
	}
	return handle, err
}

// Handles returns the user handles of up to limit accounts that have one, by the accounts' ids from the one after the given id
// on, and the last of these.
func Handles(tx *db.Tx, after string, limit int) (handles map[string][]byte, last string, err error) {
	rows, err := tx.Query(`SELECT id, handle FROM account WHERE id > $1 AND handle IS NOT NULL ORDER BY id LIMIT $2`, after, limit)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	handles = map[string][]byte{}
	for rows.Next() {
		var handle []byte
		if err := rows.Scan(&last, &handle); err != nil {
			return nil, "", err
		}
		handles[last] = handle
	}
	return handles, last, rows.Err()
}

// BringFactors notes that an account that was just made has come with so many factors, and with the user handle of its passkeys.
func BringFactors(tx *db.Tx, id string, handle []byte, n int) {
	if len(handle) == 0 {
		handle = nil // as an account has it before its first passkey
	}
	tx.Defer(`UPDATE account SET handle = $2, factors = $3, factor_n = 1 WHERE id = $1`, id, handle, n)
}

// Clashes reports whether some account has the id already, or the user handle.
func Clashes(tx *db.Tx, id string, handle []byte) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT (SELECT COUNT(*) FROM account WHERE id = $1) + (SELECT COUNT(*) FROM account WHERE handle = $2)`, id, handle).Scan(&n)
	return n > 0, err
}

// Hold takes the account's row, for what is decided by rows of its own, or returns ErrNotFound.
func Hold(tx *db.Tx, id string) error {
	n, err := tx.Exec(`UPDATE account SET factor_n = factor_n WHERE id = $1`, id)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}
