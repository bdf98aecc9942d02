package notice

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// A mailbox gets no more than a few of the mails that anybody can cause who types
// its address. They are counted where they are queued, in the transaction: so what
// counts is what is sent, whatever call caused it, on whatever replica; and what is
// rolled back has not counted. It is the leaky bucket of package limit, kept in a row.

// Affords counts one mail under the key of a mailbox's share, of which there may be
// most within the window, or reports that it must be left out. The row stays locked
// until the transaction ends, so of many at once no more are sent. A clock that was
// set back neither forgives nor adds any.
func Affords(tx *db.Tx, key string, most int, window time.Duration, now time.Time) (bool, error) {
	n := int64(most)
	cost := (window.Microseconds() + n - 1) / n
	var sent int64
	err := tx.QueryRow(affordsSQL, key, cost, db.Micros(now), cost*n).Scan(&sent)
	return sent == 1, err
}

// affordsSQL takes the key in $1, what one costs in $2, now in $3, and the most that
// may be due in $4.
const affordsSQL = `INSERT INTO mail_share (k, due, at, sent) VALUES ($1, $2, $3, 1)
	ON CONFLICT (k) DO UPDATE SET at = excluded.at,
		due = CASE WHEN excluded.at <= mail_share.at THEN mail_share.due
				WHEN mail_share.due > excluded.at - mail_share.at THEN mail_share.due - (excluded.at - mail_share.at)
				ELSE 0 END
			+ CASE WHEN excluded.at <= mail_share.at AND mail_share.due + excluded.due > CAST($4 AS BIGINT) THEN 0
				WHEN excluded.at > mail_share.at AND mail_share.due - (excluded.at - mail_share.at) + excluded.due > CAST($4 AS BIGINT) THEN 0
				ELSE excluded.due END,
		sent = CASE WHEN excluded.at <= mail_share.at AND mail_share.due + excluded.due > CAST($4 AS BIGINT) THEN 0
				WHEN excluded.at > mail_share.at AND mail_share.due - (excluded.at - mail_share.at) + excluded.due > CAST($4 AS BIGINT) THEN 0
				ELSE 1 END
	RETURNING sent`

// ForgetShares deletes shares that were not used since a time.
func ForgetShares(tx *db.Tx, b db.Batch) (db.Swept, error) {
	s, err := b.Read(tx.Query(`SELECT at, k, 1, at FROM mail_share WHERE (at, k) > ($1, $2) AND at < $3 ORDER BY at, k LIMIT $4`,
		b.After.At, b.After.ID, b.Before, b.Keys))
	if err == nil && b.Deletes(s) {
		s.Due, err = tx.Exec(`DELETE FROM mail_share WHERE (at, k) > ($1, $2) AND (at, k) <= ($4, $5) AND at < $3`,
			b.After.At, b.After.ID, b.Before, s.Last.At, s.Last.ID)
	}
	return s, err
}
