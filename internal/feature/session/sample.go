package session

import (
	"crypto/sha256"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Sample is what the newest sessions say of a deployment.
type Sample struct {
	Sessions int
	// Clear are those that keep something else of their refresh tokens than SHA-256 hashes.
	Clear int
	// Addresses is how many of them began from each address.
	Addresses map[string]int
}

// Newest samples up to limit sessions, living or ended, the newest first.
func Newest(tx *db.Tx, limit int) (Sample, error) {
	s := Sample{Addresses: map[string]int{}}
	rows, err := tx.Query(`SELECT address, LENGTH(cur), COALESCE(LENGTH(prev), 0) FROM session ORDER BY id DESC LIMIT $1`, limit)
	if err != nil {
		return s, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			address   string
			cur, prev int
		)
		if err := rows.Scan(&address, &cur, &prev); err != nil {
			return s, err
		}
		s.Sessions++
		s.Addresses[address]++
		if cur != sha256.Size || prev != 0 && prev != sha256.Size {
			s.Clear++
		}
	}
	return s, rows.Err()
}
