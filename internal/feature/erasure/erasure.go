// Package erasure is the accounts that are being erased: how far each is.
//
// An account is to be erased from a time on (account.erase_at) that its owner, whoever runs the service, or
// nobody's signing in for years has set; until then any sign-in keeps it. [Begin] is where that ends: it
// wants the account's row to be taken and due, so a sign-in comes wholly before it, and keeps the account,
// or wholly after it, and finds none. From then on the erasure is a row here, and is gone on with by
// whichever replica looks next: every step can be done twice.
//
// The rows are moved by the triggers of a table in which the steps are inserted, since on PostgreSQL the
// serving role may neither delete an account nor write here.
package erasure

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// State is how far an erasure is.
type State string

// The states of a row. Before it there is account.erase_at, after it nothing.
const (
	// Erasing: nobody can sign in any more, and what belongs to the account is being deleted.
	Erasing State = "erasing"
	// Done: the account is deleted. What transactions that were under way have written since is swept up.
	Done State = "done"
)

// Sweep is how long after the account's end it is swept up: no transaction lasts as long. The triggers
// hold to it as well.
const Sweep = 15 * time.Second

// Running is one erasure.
type Running struct {
	Account string
	State   State
	// Why is account.erase_why as it was.
	Why     string
	MovedAt time.Time
}

// The steps are inserted; triggers do the rest.
const stepSQL = `INSERT INTO erasure_step (account_id, step, time) VALUES ($1, $2, $3)`

// Begin begins an erasure that is due. The caller has taken the account's row, which is still as it was.
// It fails if the account is not due, or an undo of a change of its address lives.
func Begin(tx *db.Tx, accountID string, now time.Time) error {
	_, err := tx.Exec(stepSQL, accountID, "begin", db.Micros(now))
	return err
}

// Delete deletes the account whose erasure has begun, and nothing points at it any more.
func Delete(tx *db.Tx, accountID string, now time.Time) error {
	_, err := tx.Exec(stepSQL, accountID, "delete", db.Micros(now))
	return err
}

// End forgets an erasure that is done and swept up.
func End(tx *db.Tx, accountID string, now time.Time) error {
	_, err := tx.Exec(stepSQL, accountID, "end", db.Micros(now))
	return err
}

// List returns up to limit erasures that are under way, in the order of the accounts' ids, from the one
// after the given id on.
func List(tx *db.Tx, after string, limit int) (list []Running, err error) {
	rows, err := tx.Query(`SELECT account_id, state, why, moved_at FROM erasure WHERE account_id > $1 ORDER BY account_id LIMIT $2`, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			r  Running
			at int64
		)
		if err := rows.Scan(&r.Account, (*string)(&r.State), &r.Why, &at); err != nil {
			return nil, err
		}
		r.MovedAt = db.Time(at)
		list = append(list, r)
	}
	return list, rows.Err()
}
