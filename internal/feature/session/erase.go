package session

import "github.com/gatehouse-auth/gatehouse/internal/base/db"

// Erase deletes up to limit sessions of an account that is being erased, which have ended.
func Erase(tx *db.Tx, accountID string, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM session WHERE id IN (SELECT id FROM session WHERE account_id = $1 LIMIT $2)`, accountID, limit)
}
