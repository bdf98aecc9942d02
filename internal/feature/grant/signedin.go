package grant

import (
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// SignedIn is an application that a session was signed in to, and has yet to be told that this has ended.
type SignedIn struct {
	// SID is what the application calls the session.
	SID, Client, Account string
}

// signIn notes that a session is signed in to an application. The caller holds the session's row: so it lives, and whoever ends it
// finds the note.
func signIn(tx *db.Tx, client string, h Holder, now time.Time) {
	tx.Defer(`INSERT INTO session_client (sid, client_id, account_id, since, look_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (sid, client_id) DO NOTHING`,
		h.SID, client, h.Account, db.Micros(now), db.Micros(h.Until))
}

// Tell queues that a session has ended, for each application that it was signed in to.
func Tell(tx *db.Tx, sid string, now time.Time) error {
	return notify(tx, now)(signedIn(tx.Query(`DELETE FROM session_client WHERE sid = $1 RETURNING sid, client_id, account_id`, sid)))
}

// TellAccount is [Tell] for all sessions of an account, save the one that applications know by the name keep, if that is not empty.
func TellAccount(tx *db.Tx, account, keep string, now time.Time) error {
	return notify(tx, now)(signedIn(tx.Query(`DELETE FROM session_client WHERE account_id = $1 AND (sid <> $2 OR $2 = '')
		RETURNING sid, client_id, account_id`, account, keep)))
}

// TellClient is [Tell] for one application of an account's, whose sessions go on: it may have nothing of them any more.
func TellClient(tx *db.Tx, account, client string, now time.Time) error {
	return notify(tx, now)(signedIn(tx.Query(`DELETE FROM session_client WHERE account_id = $1 AND client_id = $2 RETURNING sid, client_id, account_id`,
		account, client)))
}

// TellOne is [Tell] for one application.
func TellOne(tx *db.Tx, s SignedIn, now time.Time) error {
	return notify(tx, now)(signedIn(tx.Query(`DELETE FROM session_client WHERE sid = $1 AND client_id = $2 RETURNING sid, client_id, account_id`,
		s.SID, s.Client)))
}

// notify queues a notice for each. An application that has one already, for something before, gets it anew.
func notify(tx *db.Tx, now time.Time) func([]SignedIn, error) error {
	return func(list []SignedIn, err error) error {
		for _, s := range list {
			tx.Defer(`INSERT INTO logout_notice (sid, client_id, account_id, created_at, due_at, until_at, tries, error) VALUES ($1, $2, $3, $4, $4, $5, 0, '')
				ON CONFLICT (sid, client_id) DO UPDATE
				SET created_at = excluded.created_at, due_at = excluded.due_at, until_at = excluded.until_at, tries = 0, error = ''`,
				s.SID, s.Client, s.Account, db.Micros(now), db.Micros(now.Add(NoticeLife)))
		}
		return err
	}
}

// Unchecked returns up to limit sessions at applications, of which nobody has looked for long whether their time has run out.
func Unchecked(tx *db.Tx, now time.Time, limit int) ([]SignedIn, error) {
	return signedIn(tx.Query(`SELECT sid, client_id, account_id FROM session_client WHERE look_at <= $1 ORDER BY look_at LIMIT $2`, db.Micros(now), limit))
}

// CheckAt has nobody look at one before a time.
func CheckAt(tx *db.Tx, s SignedIn, at time.Time) error {
	_, err := tx.Exec(`UPDATE session_client SET look_at = $3 WHERE sid = $1 AND client_id = $2`, s.SID, s.Client, db.Micros(at))
	return err
}

// CheckNow has somebody look soon whether a session's time has run out.
func CheckNow(tx *db.Tx, sid string, now time.Time) error {
	_, err := tx.Exec(`UPDATE session_client SET look_at = $2 WHERE sid = $1 AND look_at > $2`, sid, db.Micros(now))
	return err
}

// EndsWith returns when the last of what an application was granted under a session ends by itself; zero if nothing of it lives. What
// outlives sessions does not count.
func EndsWith(tx *db.Tx, s SignedIn) (time.Time, error) {
	var at int64
	err := tx.QueryRow(`SELECT COALESCE(MAX(CASE WHEN max_at < idle_at THEN max_at ELSE idle_at END), 0) FROM client_grant
		WHERE sid = $1 AND client_id = $2 AND offline = 0 AND ended_at IS NULL`, s.SID, s.Client).Scan(&at)
	if err != nil || at == 0 {
		return time.Time{}, err
	}
	return db.Time(at), nil
}

// ForgetSignedIn forgets up to limit sessions at an application that is deleted, and what it has yet to be told, and returns how many.
func ForgetSignedIn(tx *db.Tx, client string, limit int) (int64, error) {
	n, err := tx.Exec(`DELETE FROM session_client WHERE client_id = $1 AND sid IN (SELECT sid FROM session_client WHERE client_id = $1 LIMIT $2)`, client, limit)
	if err != nil {
		return n, err
	}
	told, err := tx.Exec(`DELETE FROM logout_notice WHERE client_id = $1 AND sid IN (SELECT sid FROM logout_notice WHERE client_id = $1 LIMIT $2)`, client, limit)
	return max(n, told), err
}

// Where is an application that an account is signed in to, and since when.
type Where struct {
	Client string
	Since  time.Time
}

// SignedInTo returns where an account is signed in now, the longest first.
func SignedInTo(tx *db.Tx, account string, limit int) (list []Where, err error) {
	rows, err := tx.Query(`SELECT client_id, since FROM session_client WHERE account_id = $1 ORDER BY since, client_id LIMIT $2`, account, limit)
	if err != nil {
		return nil, err
	}
	err = each(rows, func() error {
		var (
			w     Where
			since int64
		)
		err := rows.Scan(&w.Client, &since)
		w.Since = db.Time(since)
		list = append(list, w)
		return err
	})
	return list, err
}

func signedIn(rows *db.Rows, err error) (list []SignedIn, _ error) {
	if err != nil {
		return nil, err
	}
	err = each(rows, func() error {
		var s SignedIn
		err := rows.Scan(&s.SID, &s.Client, &s.Account)
		list = append(list, s)
		return err
	})
	return list, err
}

// SIDOf returns the name of the session under which something was granted; empty if there is no such grant.
func SIDOf(tx *db.Tx, id string) (sid string, err error) {
	err = tx.QueryRow(`SELECT sid FROM client_grant WHERE id = $1`, id).Scan(&sid)
	if errors.Is(err, db.ErrNoRows) {
		return "", nil
	}
	return sid, err
}
