package ticket

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Listed is a link as its account's owner may see it: nothing that makes it work.
type Listed struct {
	Purpose   Purpose
	Address   string // where its mail went, or what an undo goes back to
	ExpiresAt time.Time
	UsedAt    time.Time // zero if it was not
}

// OfAccount returns up to limit links of an account, in the order in which they expire.
func OfAccount(tx *db.Tx, account string, limit int) (list []Listed, err error) {
	rows, err := tx.Query(`SELECT purpose, address, expires_at, used_at FROM ticket WHERE account_id = $1 ORDER BY expires_at, id LIMIT $2`, account, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			k       Listed
			expires int64
			used    *int64
		)
		if err := rows.Scan((*string)(&k.Purpose), &k.Address, &expires, &used); err != nil {
			return nil, err
		}
		k.ExpiresAt, k.UsedAt = db.Time(expires), db.TimeOrZero(used)
		list = append(list, k)
	}
	return list, rows.Err()
}
