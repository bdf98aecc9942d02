package session

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// WhyReplaced is for a session in whose place the same person signed in again. What was granted under it goes on under the new
// one, and no application hears of it.
const WhyReplaced = "replaced"

// Held is a living session whose row is held until the end of the transaction: nobody ends it before, and its roles are the newest.
type Held struct {
	Account string
	// SID is what applications call it.
	SID           string
	Roles, AMR    []string
	AuthAt, MaxAt time.Time
	// Until is when its time runs out if it is not used again.
	Until time.Time
}

// Hold takes a session's row; the error is ErrNotFound if the session does not live.
func Hold(tx *db.Tx, id string, now time.Time) (h Held, err error) {
	var (
		roles, amr            string
		authAt, idleAt, maxAt int64
	)
	err = tx.QueryRow(`UPDATE session SET used_at = $2 WHERE id = $1 AND ended_at IS NULL AND idle_at > $2 AND max_at > $2
		RETURNING account_id, CASE WHEN sid = '' THEN id ELSE sid END, roles, amr, auth_at, idle_at, max_at`, id, db.Micros(now)).
		Scan(&h.Account, &h.SID, &roles, &amr, &authAt, &idleAt, &maxAt)
	if errors.Is(err, db.ErrNoRows) {
		return h, ErrNotFound
	}
	if err != nil {
		return h, err
	}
	h.AuthAt, h.MaxAt, h.Until = db.Time(authAt), db.Time(maxAt), db.Time(min(idleAt, maxAt))
	if h.Roles, err = decodeList(roles); err == nil {
		h.AMR, err = decodeList(amr)
	}
	return h, err
}

// BySID returns the session that applications know by a name, if it lives; of two, the younger.
func BySID(tx *db.Tx, sid string, now time.Time) (g Grant, ok bool, err error) {
	var (
		row rotated
		id  string
	)
	err = tx.QueryRow(`SELECT id, account_id, roles, amr, auth_at, max_at, idle_at, gen FROM (
		SELECT id, account_id, roles, amr, auth_at, max_at, idle_at, gen FROM session WHERE id = $1 AND sid = '' AND ended_at IS NULL
		UNION ALL SELECT id, account_id, roles, amr, auth_at, max_at, idle_at, gen FROM session WHERE sid = $1 AND sid <> '' AND ended_at IS NULL) AS living
		WHERE idle_at > $2 AND max_at > $2 ORDER BY id DESC LIMIT 1`, sid, db.Micros(now)).
		Scan(&id, &row.account, &row.roles, &row.amr, &row.authAt, &row.maxAt, &row.idleAt, &row.gen)
	if errors.Is(err, db.ErrNoRows) {
		return Grant{}, false, nil
	}
	if err != nil {
		return Grant{}, false, err
	}
	parsed, err := uuid.Parse(id)
	if err != nil {
		return Grant{}, false, err
	}
	g, err = row.grant(parsed)
	return g, err == nil, err
}

// SIDOf returns what applications call a session, whether or not it lives; empty if there is none of that id.
func SIDOf(tx *db.Tx, id string) (sid string, err error) {
	err = tx.QueryRow(`SELECT CASE WHEN sid = '' THEN id ELSE sid END FROM session WHERE id = $1`, id).Scan(&sid)
	if errors.Is(err, db.ErrNoRows) {
		return "", nil
	}
	return sid, err
}

// Late is how much later than a session's row says its time may run out: what a replica saw of it is written once a minute, and no two
// clocks are the same.
const Late = 2 * time.Minute

// RunsOut returns when the time of the session runs out that applications know by a name, if it is not used again; zero if none of
// that name lives.
func RunsOut(tx *db.Tx, sid string) (time.Time, error) {
	var at int64
	err := tx.QueryRow(`SELECT COALESCE(MAX(CASE WHEN max_at < idle_at THEN max_at ELSE idle_at END), 0) FROM (
		SELECT idle_at, max_at FROM session WHERE id = $1 AND sid = '' AND ended_at IS NULL
		UNION ALL SELECT idle_at, max_at FROM session WHERE sid = $1 AND sid <> '' AND ended_at IS NULL) AS living`, sid).Scan(&at)
	if err != nil || at == 0 {
		return time.Time{}, err
	}
	return db.Time(at), nil
}

// Replace ends a session of an account in whose place a new one begins, and returns what applications call it. ok is false if
// it does not live, or is another account's: then the new session is one of its own.
func Replace(tx *db.Tx, id, account string, now time.Time) (sid string, ok bool, err error) {
	err = tx.QueryRow(`UPDATE session SET ended_at = $2, ended_why = $4
		WHERE id = $1 AND account_id = $3 AND ended_at IS NULL AND idle_at > $2 AND max_at > $2
		RETURNING CASE WHEN sid = '' THEN id ELSE sid END`, id, db.Micros(now), account, WhyReplaced).Scan(&sid)
	if errors.Is(err, db.ErrNoRows) {
		return "", false, nil
	}
	return sid, err == nil, err
}
