package notice

import "github.com/gatehouse-auth/gatehouse/internal/base/db"

// OfAccount returns up to limit mails about an account, in the order in which they were queued, from the one after the given id
// on: their kinds and times, and never what they say.
func OfAccount(tx *db.Tx, accountID, after string, limit int) (list []Entry, err error) {
	rows, err := tx.Query(`SELECT id, kind, created_at, COALESCE(sent_at, 0) FROM outbox WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3`,
		accountID, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			e            Entry
			queued, sent int64
		)
		if err := rows.Scan(&e.ID, &e.Kind, &queued, &sent); err != nil {
			return nil, err
		}
		e.QueuedAt, e.SentAt = db.Time(queued), timeOf(sent)
		list = append(list, e)
	}
	return list, rows.Err()
}
