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
	UserAgent string // at the sign-in
	// Address is where it was last used, FirstAddress where its owner signed in.
	Address, FirstAddress string
	BeganAt               time.Time // the sign-in
	UsedAt                time.Time // the last refresh, the last use of an access token, or the sign-in
	EndsAt                time.Time // if it is not used again
}

// List returns the living sessions of an account, the latest used first.
func List(tx *db.Tx, account string, now time.Time) ([]Info, error) {
	return infos(tx.Query(`SELECT id, account_id, user_agent, CASE WHEN last_address = '' THEN address ELSE last_address END, address, auth_at,
		CASE WHEN used_at > minted_at THEN used_at ELSE minted_at END, idle_at, max_at FROM session
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
		if err := rows.Scan(&i.ID, &i.Account, &i.UserAgent, &i.Address, &i.FirstAddress, &began, &used, &idle, &limit); err != nil {
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
	return infos(tx.Query(`SELECT id, account_id, user_agent, CASE WHEN last_address = '' THEN address ELSE last_address END, address, auth_at,
		CASE WHEN used_at > minted_at THEN used_at ELSE minted_at END, idle_at, max_at FROM session
		WHERE id > $1 AND ended_at IS NULL AND idle_at > $2 AND max_at > $2 AND auth_at < $3 ORDER BY id LIMIT $4`,
		after, db.Micros(now), began, limit))
}

// After returns up to limit sessions of all accounts, living or ended, that began before a time, in the order of their ids
// from the one after the given id on.
func After(tx *db.Tx, after string, before time.Time, limit int) ([]Info, error) {
	return infos(tx.Query(`SELECT id, account_id, user_agent, CASE WHEN last_address = '' THEN address ELSE last_address END, address, auth_at,
		CASE WHEN used_at > minted_at THEN used_at ELSE minted_at END, idle_at, max_at FROM session
		WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3`, after, secret.FirstID(before), limit))
}

// Past is a session that may have ended, and when and why.
type Past struct {
	Info
	EndedAt time.Time `json:",omitzero"`
	Why     string    `json:",omitempty"`
}

// Ever returns the sessions of an account, living or ended, that are not deleted yet: the newest first, at most limit.
func Ever(tx *db.Tx, account string, limit int) (list []Past, err error) {
	rows, err := tx.Query(`SELECT id, account_id, user_agent, CASE WHEN last_address = '' THEN address ELSE last_address END, address, auth_at,
		CASE WHEN used_at > minted_at THEN used_at ELSE minted_at END, idle_at, max_at, ended_at, COALESCE(ended_why, '') FROM session
		WHERE account_id = $1 ORDER BY id DESC LIMIT $2`, account, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			p                        Past
			began, used, idle, limit int64
			ended                    *int64
		)
		if err := rows.Scan(&p.ID, &p.Account, &p.UserAgent, &p.Address, &p.FirstAddress, &began, &used, &idle, &limit, &ended, &p.Why); err != nil {
			return nil, err
		}
		p.BeganAt, p.UsedAt, p.EndsAt, p.EndedAt = db.Time(began), db.Time(used), db.Time(min(idle, limit)), db.TimeOrZero(ended)
		list = append(list, p)
	}
	return list, rows.Err()
}

// CountAfter looks at up to limit sessions after the one of an id, in the order of
// their ids, and returns how many they are, how many of them live, and the last one's id.
func CountAfter(tx *db.Tx, after string, now time.Time, limit int) (n, living int, last string, err error) {
	err = tx.QueryRow(`SELECT COUNT(*), COALESCE(SUM(CASE WHEN ended_at IS NULL AND idle_at > $2 AND max_at > $2 THEN 1 ELSE 0 END), 0), COALESCE(MAX(id), '')
		FROM (SELECT id, ended_at, idle_at, max_at FROM session WHERE id > $1 ORDER BY id LIMIT $3) AS page`, after, db.Micros(now), limit).
		Scan(&n, &living, &last)
	return n, living, last, err
}

// EndBegan ends up to limit living sessions whose sign-in was before the given
// time, in the order of their ids from the one after the given id on. It returns
// the ids of those that it ended, in order.
func EndBegan(tx *db.Tx, after string, before, now time.Time, why string, limit int) ([]string, error) {
	ended, err := db.Strings(tx.Query(`UPDATE session SET ended_at = $2, ended_why = $4 WHERE ended_at IS NULL AND id IN (
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

// Forget deletes sessions that ended, or could have been used, at the latest before a time.
// The key is the id, which begins with the time of a session's making: so those that are younger are
// not read, with no index that each refresh would have to touch.
func Forget(tx *db.Tx, b db.Batch) (db.Swept, error) {
	s, err := b.Read(tx.Query(`SELECT 0, id, CASE WHEN ended_at < $2 OR idle_at < $2 OR max_at < $2 THEN 1 ELSE 0 END,
		COALESCE(ended_at, CASE WHEN max_at < idle_at THEN max_at ELSE idle_at END) FROM session WHERE id > $1 AND id < $3 ORDER BY id LIMIT $4`,
		b.After.ID, b.Before, secret.FirstID(db.Time(b.Before)), b.Keys))
	if err == nil && b.Deletes(s) {
		s.Due, err = tx.Exec(`DELETE FROM session WHERE id > $1 AND id <= $3 AND (ended_at < $2 OR idle_at < $2 OR max_at < $2)`,
			b.After.ID, b.Before, s.Last.ID)
	}
	return s, err
}
