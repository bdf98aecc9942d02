package factor

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Posture is what the doctor looks at. It reads whole tables.
type Posture struct {
	// Resting are the passkeys of another host than the RP ID, Stranded the accounts that have no other factor.
	Resting, Stranded int64
	// Suspects are passkeys that seem to have a copy.
	Suspects int64
	// Resets are operators' resets that wait, Overdue those that are due since before the given time.
	Resets, Overdue int64
}

// PostureOf returns it for the host with the RP ID.
func PostureOf(tx *db.Tx, rpID string, due time.Time) (p Posture, err error) {
	err = tx.QueryRow(`SELECT
		(SELECT COUNT(*) FROM passkey WHERE rp_id <> $1),
		(SELECT COUNT(DISTINCT resting.account_id) FROM passkey AS resting WHERE resting.rp_id <> $1
			AND NOT EXISTS (SELECT 1 FROM passkey AS other WHERE other.account_id = resting.account_id AND other.rp_id = $1)
			AND NOT EXISTS (SELECT 1 FROM totp WHERE totp.account_id = resting.account_id)),
		(SELECT COUNT(*) FROM passkey WHERE suspect_at IS NOT NULL),
		(SELECT COUNT(*) FROM factor_reset),
		(SELECT COUNT(*) FROM factor_reset WHERE due_at <= $2)`, rpID, db.Micros(due)).Scan(&p.Resting, &p.Stranded, &p.Suspects, &p.Resets, &p.Overdue)
	return p, err
}

// Counted returns how many factors there are, by their rows: what all accounts together count.
func Counted(tx *db.Tx) (n int64, err error) {
	err = tx.QueryRow(`SELECT (SELECT COUNT(*) FROM totp) + (SELECT COUNT(*) FROM passkey)`).Scan(&n)
	return n, err
}

// CountedBetween returns how many factors the accounts have, by their rows, whose ids come after one, up to another.
func CountedBetween(tx *db.Tx, after, last string) (map[string]int64, error) {
	rows, err := tx.Query(`SELECT account_id, COUNT(*) FROM (SELECT account_id FROM totp WHERE account_id > $1 AND account_id <= $2
			UNION ALL SELECT account_id FROM passkey WHERE account_id > $1 AND account_id <= $2) AS factor GROUP BY account_id`, after, last)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	counts := map[string]int64{}
	for rows.Next() {
		var (
			id string
			n  int64
		)
		if err := rows.Scan(&id, &n); err != nil {
			return nil, err
		}
		counts[id] = n
	}
	return counts, rows.Err()
}
