package lockout

import "github.com/gatehouse-auth/gatehouse/internal/base/db"

// Erase deletes up to limit known devices, and up to as many links that make one known, of an account that is being erased, and
// returns the more of both.
func Erase(tx *db.Tx, accountID string, limit int) (int64, error) {
	links, err := tx.Exec(`DELETE FROM unlock_link WHERE hash IN (SELECT hash FROM unlock_link WHERE account_id = $1 LIMIT $2)`, accountID, limit)
	if err != nil {
		return 0, err
	}
	devices, err := tx.Exec(`DELETE FROM known_device WHERE id IN (SELECT id FROM known_device WHERE account_id = $1 LIMIT $2)`, accountID, limit)
	return max(links, devices), err
}
