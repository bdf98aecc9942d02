package lockout

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Device is a known device as its owner may see it: nothing of what makes it known.
type Device struct{ KnownSince, SeenAt time.Time }

// Devices returns the known devices of an account, the latest seen first. There are at most some dozens.
func Devices(tx *db.Tx, accountID string) (list []Device, err error) {
	rows, err := tx.Query(`SELECT created_at, seen_at FROM known_device WHERE account_id = $1 ORDER BY seen_at DESC, id`, accountID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var made, seen int64
		if err := rows.Scan(&made, &seen); err != nil {
			return nil, err
		}
		list = append(list, Device{db.Time(made), db.Time(seen)})
	}
	return list, rows.Err()
}
