package account

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Kept is an account as one compares it with how it was: whatever gives somebody access.
type Kept struct {
	ID, Email string
	// Roles are as they are stored, and Hash is the password's: it is compared, and never shown.
	Roles, Hash string
	PasswordAt  time.Time
	Disabled    bool
}

// KeptAfter returns up to limit accounts in the order of their ids, from the one after the given id on.
func KeptAfter(tx *db.Tx, after string, limit int) (list []Kept, err error) {
	rows, err := tx.Query(`SELECT id, email, roles, hash, COALESCE(password_at, created_at), disabled_at FROM account WHERE id > $1 ORDER BY id LIMIT $2`,
		after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			k        Kept
			at       int64
			disabled *int64
		)
		if err := rows.Scan(&k.ID, &k.Email, &k.Roles, &k.Hash, &at, &disabled); err != nil {
			return nil, err
		}
		k.PasswordAt, k.Disabled = db.Time(at), disabled != nil
		list = append(list, k)
	}
	return list, rows.Err()
}
