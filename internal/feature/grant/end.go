package grant

import (
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// EndSession ends what has been granted under a session that ends, by the name that applications have for that, and returns the
// ids of the grants. Those that outlive their session stay, unless offline says that they end too; but a code that has yet to be
// exchanged never stays.
func EndSession(tx *db.Tx, sid string, offline bool, now time.Time) ([]string, error) {
	return db.Strings(tx.Query(`UPDATE client_grant SET ended_at = $2, ended_why = $3
		WHERE sid = $1 AND ended_at IS NULL AND (offline = 0 OR started_at IS NULL OR $4 = 1) RETURNING id`,
		sid, db.Micros(now), WhySession, number(offline)))
}

// EndGiven ends what has been granted under a session's name by the sign-in of a time, and returns the ids of the grants.
func EndGiven(tx *db.Tx, sid string, authAt, now time.Time) ([]string, error) {
	return db.Strings(tx.Query(`UPDATE client_grant SET ended_at = $3, ended_why = $4 WHERE sid = $1 AND auth_at = $2 AND ended_at IS NULL RETURNING id`,
		sid, db.Micros(authAt), db.Micros(now), WhySession))
}

// EndBegan ends up to limit grants whose sign-in was before a time, in the order of their ids from the one after the given id on. It
// returns the ids of those that it ended, in order.
func EndBegan(tx *db.Tx, after string, before, now time.Time, why string, limit int) ([]string, error) {
	ended, err := db.Strings(tx.Query(`UPDATE client_grant SET ended_at = $2, ended_why = $4 WHERE ended_at IS NULL AND id IN (
		SELECT id FROM client_grant WHERE id > $1 AND ended_at IS NULL AND auth_at < $3 ORDER BY id LIMIT $5) RETURNING id`,
		after, db.Micros(now), db.Micros(before), why, limit))
	slices.Sort(ended)
	return ended, err
}

// EndAccount ends all living grants of an account, save those under the session that applications know by the name keep, and
// returns their ids.
func EndAccount(tx *db.Tx, account, keep, why string, now time.Time) ([]string, error) {
	return db.Strings(tx.Query(`UPDATE client_grant SET ended_at = $2, ended_why = $3
		WHERE account_id = $1 AND ended_at IS NULL AND (sid <> $4 OR $4 = '') RETURNING id`, account, db.Micros(now), why, keep))
}

// EndClient ends an account's living grants at one application, and returns their ids.
func EndClient(tx *db.Tx, account, client, why string, now time.Time) ([]string, error) {
	return db.Strings(tx.Query(`UPDATE client_grant SET ended_at = $3, ended_why = $4
		WHERE account_id = $1 AND client_id = $2 AND ended_at IS NULL RETURNING id`, account, client, db.Micros(now), why))
}

// EndAll ends up to limit living grants of an application, and returns their ids.
func EndAll(tx *db.Tx, client, why string, now time.Time, limit int) ([]string, error) {
	return db.Strings(tx.Query(`UPDATE client_grant SET ended_at = $2, ended_why = $3 WHERE ended_at IS NULL AND id IN (
		SELECT id FROM client_grant WHERE client_id = $1 AND ended_at IS NULL LIMIT $4) RETURNING id`, client, db.Micros(now), why, limit))
}

// CountClient counts the living grants of an application.
func CountClient(tx *db.Tx, client string) (n int64, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM client_grant WHERE client_id = $1 AND ended_at IS NULL`, client).Scan(&n)
	return n, err
}

// End ends a grant of an application, and returns its account; ok is false if there is no such grant that lives.
func End(tx *db.Tx, id, client, why string, now time.Time) (account string, ok bool, err error) {
	err = tx.QueryRow(`UPDATE client_grant SET ended_at = $3, ended_why = $4
		WHERE id = $1 AND client_id = $2 AND started_at IS NOT NULL AND ended_at IS NULL RETURNING account_id`, id, client, db.Micros(now), why).Scan(&account)
	if errors.Is(err, db.ErrNoRows) {
		return "", false, nil
	}
	return account, err == nil, err
}

// SetRoles writes an account's new roles to its living grants.
func SetRoles(tx *db.Tx, account string, roles []string) error {
	_, err := tx.Exec(`UPDATE client_grant SET roles = $2 WHERE account_id = $1 AND ended_at IS NULL`, account, encodeList(roles))
	return err
}

// Keep is how long a grant is kept that has ended, or ran out.
const Keep = 7 * 24 * time.Hour

// Forget deletes grants that ended, or could have been used, at the latest before a time. The key is the id, as for sessions.
func Forget(tx *db.Tx, b db.Batch) (db.Swept, error) {
	s, err := b.Read(tx.Query(`SELECT 0, id, CASE WHEN ended_at < $2 OR idle_at < $2 OR max_at < $2 THEN 1 ELSE 0 END,
		COALESCE(ended_at, CASE WHEN max_at < idle_at THEN max_at ELSE idle_at END) FROM client_grant WHERE id > $1 AND id < $3 ORDER BY id LIMIT $4`,
		b.After.ID, b.Before, secret.FirstID(db.Time(b.Before)), b.Keys))
	if err == nil && b.Deletes(s) {
		s.Due, err = tx.Exec(`DELETE FROM client_grant WHERE id > $1 AND id <= $3 AND (ended_at < $2 OR idle_at < $2 OR max_at < $2)`,
			b.After.ID, b.Before, s.Last.ID)
	}
	return s, err
}

// Erase deletes up to limit rows of an account that is being erased.
func Erase(tx *db.Tx, account string, limit int) (int64, error) {
	n, err := tx.Exec(`DELETE FROM client_grant WHERE id IN (SELECT id FROM client_grant WHERE account_id = $1 LIMIT $2)`, account, limit)
	if err != nil || n > 0 {
		return n, err
	}
	if n, err = tx.Exec(`DELETE FROM session_client WHERE account_id = $1`, account); err != nil || n > 0 {
		return n, err
	}
	return tx.Exec(`DELETE FROM client_consent WHERE account_id = $1`, account)
}
