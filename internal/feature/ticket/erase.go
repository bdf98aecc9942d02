package ticket

import (
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Erase deletes up to limit tickets of an account that is being erased.
func Erase(tx *db.Tx, accountID string, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM ticket WHERE id IN (SELECT id FROM ticket WHERE account_id = $1 LIMIT $2)`, accountID, limit)
}

// EraseTries deletes the count of an address's codes, which is kept under a keyed hash of it.
func (s *Store) EraseTries(tx *db.Tx, addressKey string) error {
	_, err := tx.Exec(`DELETE FROM code_try WHERE k = $1`, s.triesKey(addressKey))
	return err
}
