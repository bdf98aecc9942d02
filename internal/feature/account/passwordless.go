package account

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// An account may have no password: then its stored hash is empty, and no password is right. It begins so where somebody
// registers with an address and a passkey, or its owner removes the password.

// RemovePassword takes the password of an account away that has a factor, if it is still the one that the number counts
// and the factors are those that were looked at, and reports whether it was. It counts as a replaced one: whatever was
// begun under it comes too late. It takes the account's row.
func RemovePassword(tx *db.Tx, id string, passwordN, factorN int64, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE account SET hash = '', password_n = password_n + 1, password_at = $4 WHERE id = $1 AND password_n = $2 AND factor_n = $3
		AND hash <> '' AND factors > 0 AND disabled_at IS NULL AND reset_at IS NULL`, id, passwordN, factorN, db.Micros(now))
	return n == 1, err
}
