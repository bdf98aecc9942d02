package session

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Info is a living session as its owner sees it.
type Info struct {
	ID        string
	Account   string
	UserAgent string    // at the sign-in
	Address   string    // at the sign-in
	BeganAt   time.Time // the sign-in
	UsedAt    time.Time // the last refresh, the last use of an access token, or the sign-in
	EndsAt    time.Time // if it is not used again
}

// List returns the living sessions of an account, the latest used first.
func List(tx *db.Tx, account string, now time.Time) ([]Info, error) {
	return infos(tx.Query(`SELECT id, account_id, user_agent, address, auth_at, CASE WHEN used_at > minted_at THEN used_at ELSE minted_at END, idle_at,
		max_at FROM session
		WHERE account_id = $1 AND ended_at IS NULL AND idle_at > $2 AND max_at > $2
		ORDER BY CASE WHEN used_at > minted_at THEN used_at ELSE minted_at END DESC, id DESC`, account, db.Micros(now)))
}

func infos(rows *db.Rows, err error) ([]Info, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Info
	for rows.Next() {
		var (
			i                        Info
			began, used, idle, limit int64
		)
		if err := rows.Scan(&i.ID, &i.Account, &i.UserAgent, &i.Address, &began, &used, &idle, &limit); err != nil {
			return nil, err
		}
		i.BeganAt, i.UsedAt, i.EndsAt = db.Time(began), db.Time(used), db.Time(min(idle, limit))
		out = append(out, i)
	}
	return out, rows.Err()
}

// Living returns up to limit living sessions of all accounts whose sign-in was
// before the given time, if that is not zero, in the order of their ids from the
// one after the given id on.
func Living(tx *db.Tx, after string, before, now time.Time, limit int) ([]Info, error) {
	began := int64(math.MaxInt64)
	if !before.IsZero() {
		began = db.Micros(before)
	}
	return infos(tx.Query(`SELECT id, account_id, user_agent, address, auth_at, CASE WHEN used_at > minted_at THEN used_at ELSE minted_at END, idle_at,
		max_at FROM session
		WHERE id > $1 AND ended_at IS NULL AND idle_at > $2 AND max_at > $2 AND auth_at < $3 ORDER BY id LIMIT $4`,
		after, db.Micros(now), began, limit))
}

// EndBegan ends up to limit living sessions whose sign-in was before the given
// time, in the order of their ids from the one after the given id on. It returns
// the ids of those that it ended, in order.
func EndBegan(tx *db.Tx, after string, before, now time.Time, why string, limit int) ([]string, error) {
	ended, err := ids(tx.Query(`UPDATE session SET ended_at = $2, ended_why = $4 WHERE ended_at IS NULL AND id IN (
		SELECT id FROM session WHERE id > $1 AND ended_at IS NULL AND idle_at > $2 AND max_at > $2 AND auth_at < $3 ORDER BY id LIMIT $5) RETURNING id`,
		after, db.Micros(now), db.Micros(before), why, limit))
	slices.Sort(ended)
	return ended, err
}

// Owner returns the account of a living session, or ErrNotFound.
func Owner(tx *db.Tx, id string, now time.Time) (account string, err error) {
	err = tx.QueryRow(`SELECT account_id FROM session WHERE id = $1 AND ended_at IS NULL AND idle_at > $2 AND max_at > $2`,
		id, db.Micros(now)).Scan(&account)
	if errors.Is(err, db.ErrNoRows) {
		err = ErrNotFound
	}
	return account, err
}

// Forget deletes up to limit sessions that ended, or could have been used, at
// the latest before the given time, and returns how many it deleted. The bound
// on the id, which begins with the time of its making, keeps it from reading
// those that are younger, with no index that each refresh would have to touch.
func Forget(tx *db.Tx, before time.Time, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM session WHERE id IN (
		SELECT id FROM session WHERE id < $1 AND (ended_at < $2 OR idle_at < $2 OR max_at < $2) LIMIT $3)`,
		secret.FirstID(before), db.Micros(before), limit)
}
