package factor

import "github.com/gatehouse-auth/gatehouse/internal/base/db"

// Erase deletes all that an account that is being erased shows beside its password, and what was begun of it. There
// are at most some dozens of each.
func Erase(tx *db.Tx, accountID string) (n int64, err error) {
	for _, erase := range []func() (int64, error){
		func() (int64, error) { return tx.Exec(`DELETE FROM pending WHERE account_id = $1`, accountID) },
		func() (int64, error) { return tx.Exec(`DELETE FROM totp_offer WHERE account_id = $1`, accountID) },
		func() (int64, error) { return tx.Exec(`DELETE FROM factor_reset WHERE account_id = $1`, accountID) },
		func() (int64, error) { return tx.Exec(`DELETE FROM totp WHERE account_id = $1`, accountID) },
		func() (int64, error) { return tx.Exec(`DELETE FROM passkey WHERE account_id = $1`, accountID) },
		func() (int64, error) { return tx.Exec(`DELETE FROM recovery_code WHERE account_id = $1`, accountID) },
	} {
		gone, err := erase()
		if err != nil {
			return 0, err
		}
		n += gone
	}
	return n, nil
}
