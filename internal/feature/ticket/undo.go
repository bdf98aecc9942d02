package ticket

import (
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// The undos of an account are a chain: each leads to the address that the account
// had before one change, and they are numbered in the order of the changes. Going
// back to one address takes back every later change, so the undos of those die with
// it: their addresses were only reached inside what was undone.

// Undos returns the living undos of an account, from the oldest on.
func Undos(tx *db.Tx, account string, now time.Time) ([]Ticket, error) {
	rows, err := tx.Query(`SELECT id, purpose, account_id, address, address_key, password_n, old_hash, seq, holds, expires_at FROM ticket
		WHERE account_id = $1 AND purpose = 'undo' AND used_at IS NULL AND expires_at > $2 ORDER BY seq, id`, account, db.Micros(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Ticket
	for rows.Next() {
		var t Ticket
		if err := scan(rows, &t); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// Made is when an undo was made: at the change that it takes back.
func (t Ticket) Made() time.Time { return t.Until.Add(-t.Purpose.Life()) }

// UndoTo returns the living undo that leads to an address which its account had
// verified, and reports whether there is one: the address is nobody else's to take.
func UndoTo(tx *db.Tx, addressKey string, now time.Time) (t Ticket, found bool, err error) {
	err = scan(tx.QueryRow(`SELECT id, purpose, account_id, address, address_key, password_n, old_hash, seq, holds, expires_at FROM ticket
		WHERE address_key = $1 AND purpose = 'undo' AND holds = 1 AND used_at IS NULL AND expires_at > $2 ORDER BY seq, id LIMIT 1`,
		addressKey, db.Micros(now)), &t)
	if errors.Is(err, db.ErrNoRows) {
		return Ticket{}, false, nil
	}
	return t, err == nil, err
}

// UseUndo uses an undo up, or returns ErrLink as [Consume] does. It makes all else
// void that was mailed for the account, save the undos of earlier changes of address and of factors,
// and returns the addresses, as typed, that the undos which died with it led to.
func UseUndo(tx *db.Tx, t Ticket, now time.Time) (undone []string, err error) {
	if err := Consume(tx, t, now); err != nil {
		return nil, err
	}
	rows, err := tx.Query(`DELETE FROM ticket WHERE account_id = $1 AND id <> $2 AND (purpose <> 'undo' OR seq >= $3)
		AND (purpose <> 'undo_factor' OR expires_at >= $4) RETURNING purpose, address`, t.Account, t.ID, t.Seq, db.Micros(t.Until))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var purpose, address string
		if err := rows.Scan(&purpose, &address); err != nil {
			return nil, err
		}
		if Purpose(purpose) == Undo && address != t.Address && !slices.Contains(undone, address) {
			undone = append(undone, address)
		}
	}
	return undone, rows.Err()
}
