package account

import (
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// FormerLife is how long a password that was replaced is kept, for undoing a change of
// address: as long as an undo lives.
const FormerLife = 7 * 24 * time.Hour

// formerMost is how many are kept of an account. An undo compares with each, which
// costs a hash; and whoever changes the password more often within a week is turned
// away, or a thief could push out the owner's.
const formerMost = 20

// ErrChangedTooOften is for who changes a password again and again.
var ErrChangedTooOften = fault.New(fault.Limited, "password_changed_too_often",
	"The password was changed 20 times within a week. Please wait a few days, or set a new one with \"Forgot password\".")

// Standing is a password that is about to be replaced, with the account's row held.
type Standing struct {
	hash              string
	addressN, resetN  int64
	account, formerID string
}

// HoldPassword takes the account's row, if its password is still the one that the
// number counts, and reports whether it was. If a reset is demanded only a reset may
// have it: somebody whose request was under way when the owner said "this wasn't me"
// comes too late.
func HoldPassword(tx *db.Tx, id string, n int64, reset bool) (s Standing, ok bool, err error) {
	s.account = id
	may := int64(0)
	if reset {
		may = 1
	}
	err = tx.QueryRow(`UPDATE account SET password_n = password_n WHERE id = $1 AND password_n = $2 AND (reset_at IS NULL OR $3 = 1)
		RETURNING hash, address_n, reset_n, id || ':' || password_n`, id, n, may).Scan(&s.hash, &s.addressN, &s.resetN, &s.formerID)
	if errors.Is(err, db.ErrNoRows) {
		return s, false, nil
	}
	return s, err == nil, err
}

// KeepChanged keeps a password that somebody replaces who is signed in: for seven days
// it opens every undo. It returns ErrChangedTooOften if too many are kept already.
func KeepChanged(tx *db.Tx, s Standing, now time.Time) error {
	if s.hash == "" { // there was no password
		return nil
	}
	var n int64
	err := tx.QueryRow(`SELECT COUNT(*) FROM former_password WHERE account_id = $1 AND until_at > $2`, s.account, db.Micros(now)).Scan(&n)
	if err != nil {
		return err
	}
	if n >= formerMost {
		f := *ErrChangedTooOften
		f.RetryAfter = time.Hour
		return &f
	}
	return s.keep(tx, -1, nil, now)
}

// KeepReset keeps a password that a mail to the account's address replaces, and all
// before it, for the undos of the changes that led to that address, and for no
// later one. undos are the numbers of those that live. A password that was itself set
// by such a mail is not kept: the owner of an earlier address never had it.
func KeepReset(tx *db.Tx, s Standing, undos []int64, now time.Time) error {
	if _, err := tx.Exec(`UPDATE former_password SET to_n = $2 WHERE account_id = $1 AND to_n IS NULL`, s.account, s.addressN); err != nil {
		return err
	}
	oldest := s.addressN + 1
	for _, seq := range undos {
		oldest = min(oldest, seq)
	}
	if _, err := tx.Exec(`DELETE FROM former_password WHERE account_id = $1 AND to_n < $2`, s.account, oldest); err != nil {
		return err
	}
	if s.hash == "" {
		return nil
	}
	for _, seq := range undos {
		if s.resetN < seq && seq <= s.addressN {
			return s.keep(tx, s.resetN, &s.addressN, now)
		}
	}
	return nil
}

func (s Standing) keep(tx *db.Tx, from int64, to *int64, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO former_password (id, account_id, hash, from_n, to_n, until_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		s.formerID, s.account, s.hash, from, to, db.Micros(now.Add(FormerLife)))
	return err
}

// Openers returns the stored hashes whose passwords open the undo with the number: the
// current one, and those that the account had within seven days, less those that a
// reset has set aside which was mailed to the address that the undo leads to, or to
// one before it.
func Openers(tx *db.Tx, id string, seq int64, now time.Time) ([]string, error) {
	rows, err := tx.Query(`SELECT hash FROM account WHERE id = $1 UNION ALL SELECT hash FROM former_password
		WHERE account_id = $1 AND from_n < $2 AND (to_n IS NULL OR to_n >= $2) AND until_at > $3`, id, seq, db.Micros(now))
	if err != nil {
		return nil, err
	}
	return hashList(rows)
}

func hashList(rows *db.Rows) ([]string, error) {
	defer rows.Close()
	var out []string
	for rows.Next() {
		var hash string
		if err := rows.Scan(&hash); err != nil {
			return nil, err
		}
		out = append(out, hash)
	}
	return out, rows.Err()
}

// ChangedSince returns the stored hashes of the passwords that the account had within seven days and that
// somebody who was signed in has replaced, less those that a reset has set aside.
func ChangedSince(tx *db.Tx, id string, now time.Time) ([]string, error) {
	rows, err := tx.Query(`SELECT hash FROM former_password WHERE account_id = $1 AND to_n IS NULL AND until_at > $2`, id, db.Micros(now))
	if err != nil {
		return nil, err
	}
	return hashList(rows)
}

// ForgetFormer deletes up to limit passwords that are kept no longer, and returns how
// many they were.
func ForgetFormer(tx *db.Tx, now time.Time, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM former_password WHERE id IN (SELECT id FROM former_password WHERE until_at <= $1 LIMIT $2)`, db.Micros(now), limit)
}
