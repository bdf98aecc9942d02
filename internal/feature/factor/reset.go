package factor

import (
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Reset is an operator's wish that an account's factors be taken away, which waits.
type Reset struct {
	Account    string
	AskedAt    time.Time
	DueAt      time.Time
	By, Reason string
	// Address is what the account gets in the place of its own, as it was typed and as it is compared; empty where it keeps that.
	Address, AddressKey string
}

// AskReset writes one down, in the place of one that waits already.
func AskReset(tx *db.Tx, r Reset) error {
	_, err := tx.Exec(`INSERT INTO factor_reset (account_id, asked_at, due_at, asked_by, reason, address, address_key) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (account_id) DO UPDATE SET asked_at = excluded.asked_at, due_at = excluded.due_at, asked_by = excluded.asked_by,
			reason = excluded.reason, address = excluded.address, address_key = excluded.address_key`,
		r.Account, db.Micros(r.AskedAt), db.Micros(r.DueAt), r.By, r.Reason, r.Address, r.AddressKey)
	return err
}

// StopReset takes one away, and reports whether there was any: stopped, or done. Of any number at once one
// does.
func StopReset(tx *db.Tx, account string) (bool, error) {
	n, err := tx.Exec(`DELETE FROM factor_reset WHERE account_id = $1`, account)
	return n == 1, err
}

// ResetOf returns when the reset is due that waits for an account; the zero time if there is none.
func ResetOf(tx *db.Tx, account string) (due time.Time, err error) {
	var at int64
	err = tx.QueryRow(`SELECT due_at FROM factor_reset WHERE account_id = $1`, account).Scan(&at)
	if errors.Is(err, db.ErrNoRows) {
		return time.Time{}, nil
	}
	return db.Time(at), err
}

// DueReset returns a reset that is due, with its account and the new address, and whether there is any.
func DueReset(tx *db.Tx, now time.Time) (r Reset, found bool, err error) {
	err = tx.QueryRow(`SELECT account_id, address, address_key FROM factor_reset WHERE due_at <= $1 ORDER BY due_at LIMIT 1`, db.Micros(now)).
		Scan(&r.Account, &r.Address, &r.AddressKey)
	if errors.Is(err, db.ErrNoRows) {
		return Reset{}, false, nil
	}
	return r, err == nil, err
}
