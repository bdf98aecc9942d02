package notice

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Hold keeps mails of an account from being sent until [Release]: they wait in the outbox. It is for an address that a restore has
// brought back, and that may be a stranger's by now.
func Hold(tx *db.Tx, accountID string, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO mail_hold (account_id, since) SELECT id, $2 FROM account WHERE id = $1 ON CONFLICT (account_id) DO NOTHING`,
		accountID, db.Micros(now))
	return err
}

// HoldAll keeps the mails of all accounts that there are.
func HoldAll(tx *db.Tx, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO mail_hold (account_id, since) SELECT id, $1 FROM account WHERE true ON CONFLICT (account_id) DO NOTHING`, db.Micros(now))
	return err
}

// Release lets an account's mails be sent again, and reports whether they were held.
func Release(tx *db.Tx, accountID string) (held bool, err error) {
	n, err := tx.Exec(`DELETE FROM mail_hold WHERE account_id = $1`, accountID)
	return n == 1, err
}
