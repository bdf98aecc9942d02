package consent

import "github.com/gatehouse-auth/gatehouse/internal/base/db"

// Erase deletes all consents of an account, and returns how many they were: it is being erased, or a stranger
// registered the address and agreed to them, whose owner has taken it over since.
func Erase(tx *db.Tx, accountID string) (int64, error) {
	return tx.Exec(`DELETE FROM consent WHERE account_id = $1`, accountID)
}
