package account

import (
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// EraseWhy is who or what made that an account is to be erased.
type EraseWhy string

// Why accounts are erased.
const (
	// EraseSelf: the person has asked for it.
	EraseSelf EraseWhy = "self"
	// EraseByAdministrator and EraseByOperator: somebody who runs the service has.
	EraseByAdministrator EraseWhy = "administrator"
	EraseByOperator      EraseWhy = "operator"
	// EraseInactive: nobody has signed in for so long.
	EraseInactive EraseWhy = "inactive"
	// EraseAsBefore: it had been erased, and a restore brought it back.
	EraseAsBefore EraseWhy = "erased_before"
	// eraseKept stands in the place of a reason where a sign-in has just kept the account.
	eraseKept EraseWhy = "kept"
)

// Erasure is that an account is to be erased.
type Erasure struct {
	Account string
	At      time.Time // zero if it is not
	Why     EraseWhy
}

// SetErase makes that an account is erased from a time on, and reports whether it changed
// anything: a later time than the one that stands does not. It takes the account's row. The caller
// ends the sessions, and tells the person.
func SetErase(tx *db.Tx, id string, at time.Time, why EraseWhy) (changed bool, err error) {
	n, err := tx.Exec(`UPDATE account SET erase_at = $2, erase_why = $3 WHERE id = $1 AND (erase_at IS NULL OR erase_at > $2)`,
		id, db.Micros(at), string(why))
	return n == 1, err
}

// ClearErase makes that an account is not erased, and reports whether it was to be. It takes the
// account's row. A sign-in clears it by itself: see [SignedIn].
func ClearErase(tx *db.Tx, id string) (kept bool, err error) {
	n, err := tx.Exec(`UPDATE account SET erase_at = NULL, erase_why = '' WHERE id = $1 AND erase_at IS NOT NULL AND erase_why <> 'erasing'`, id)
	return n == 1, err
}

// ErasureOf returns whether and when an account is to be erased, or ErrNotFound.
func ErasureOf(tx *db.Tx, id string) (e Erasure, err error) {
	var at *int64
	err = tx.QueryRow(`SELECT id, erase_at, erase_why FROM account WHERE id = $1`, id).Scan(&e.Account, &at, (*string)(&e.Why))
	if errors.Is(err, db.ErrNoRows) {
		err = ErrNotFound
	}
	if e.At = db.TimeOrZero(at); e.At.IsZero() {
		e.Why = ""
	}
	return e, err
}

// Erasures returns up to limit accounts that are to be erased by a time, the first due first, from the
// one after the given on: the zero value is the beginning.
func Erasures(tx *db.Tx, after Erasure, by time.Time, limit int) (list []Erasure, err error) {
	from := int64(-1)
	if !after.At.IsZero() {
		from = db.Micros(after.At)
	}
	rows, err := tx.Query(`SELECT id, erase_at, erase_why FROM account
		WHERE erase_at IS NOT NULL AND erase_at <= $1 AND (erase_at > $2 OR erase_at = $2 AND id > $3) ORDER BY erase_at, id LIMIT $4`,
		db.Micros(by), from, after.Account, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			e  Erasure
			at int64
		)
		if err := rows.Scan(&e.Account, &at, (*string)(&e.Why)); err != nil {
			return nil, err
		}
		e.At = db.Time(at)
		list = append(list, e)
	}
	return list, rows.Err()
}

// eraseBegun stands in the place of a reason once nothing keeps the account any more.
const eraseBegun EraseWhy = "erasing"

// HoldDue takes the row of an account whose erasure is due and has not begun, and returns what it is. It
// returns ErrNotFound if a sign-in, or whoever may, has kept it meanwhile.
func HoldDue(tx *db.Tx, id string, now time.Time) (h Holder, err error) {
	return scanHolder(tx.QueryRow(`UPDATE account SET erase_at = erase_at WHERE id = $1 AND erase_at <= $2 AND erase_why <> 'erasing'
		RETURNING id, email, email_key, name, locale, hash, password_n, verified_at, disabled_at, factors, factor_n`, id, db.Micros(now)))
}

// Blank takes away all that says whose account it is, and what opens it: it can't be found by its address any more,
// which is free, nor signed in to. Whoever calls it holds the account's row.
func Blank(tx *db.Tx, id string, now time.Time) error {
	_, err := tx.Exec(`UPDATE account SET email = id || '@erased.invalid', email_key = id || '@erased.invalid', name = '', locale = '', hash = '',
			roles = '[]', roles_n = roles_n + 1, handle = NULL, password_n = password_n + 1, factor_n = factor_n + 1,
			disabled_at = COALESCE(disabled_at, $2), erase_why = $3
		WHERE id = $1`, id, db.Micros(now), string(eraseBegun))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`DELETE FROM account_word WHERE account_id = $1`, id)
	return err
}

// Stays takes an account's row, and reports whether it is there and is not being erased: only then may the log name it, for its erasure may be
// through with the log.
func Stays(tx *db.Tx, id string) (bool, error) {
	n, err := tx.Exec(`UPDATE account SET factor_n = factor_n WHERE id = $1 AND erase_why <> $2`, id, string(eraseBegun))
	return n == 1, err
}

// EraseRows deletes up to limit rows of what belongs to an account and is kept beside it.
func EraseRows(tx *db.Tx, id string, limit int) (int64, error) {
	words, err := tx.Exec(`DELETE FROM account_word WHERE account_id = $1`, id)
	if err != nil {
		return 0, err
	}
	n, err := tx.Exec(`DELETE FROM former_password WHERE id IN (SELECT id FROM former_password WHERE account_id = $1 LIMIT $2)`, id, limit)
	return n + words, err
}

// PostponeErasures has every erasure that has not begun wait until a time at least: after a restore from a backup a
// sign-in that has kept the account since is forgotten, and its owner needs the wait once more.
func PostponeErasures(tx *db.Tx, until time.Time) error {
	_, err := tx.Exec(`UPDATE account SET erase_at = $1 WHERE erase_at < $1 AND erase_why NOT IN ('erasing', 'erased_before')`, db.Micros(until))
	return err
}

// EraseAgain makes that an account is erased at once that a restore has brought back. It is disabled, so nobody keeps it by a
// sign-in.
func EraseAgain(tx *db.Tx, id string, now time.Time) error {
	_, err := tx.Exec(`UPDATE account SET erase_at = $2, erase_why = $3, disabled_at = COALESCE(disabled_at, $2) WHERE id = $1 AND erase_why <> 'erasing'`,
		id, db.Micros(now), string(EraseAsBefore))
	return err
}
