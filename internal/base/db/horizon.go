package db

// Horizon returns the transaction before which all are over: whatever row of
// the table has a smaller tx is committed, or never will be. A reader that asks
// for the horizon first, then reads the rows from its last one on, and then
// keeps the new one misses nothing, however late a transaction commits.
//
// On PostgreSQL tx is the transaction's id; on SQLite, where commits come one
// after another, it is a counter of the table's (AUTOINCREMENT).
func (tx *Tx) Horizon(table string) (int64, error) {
	var h int64
	var err error
	if tx.dialect == Postgres {
		err = tx.QueryRow(`SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint`).Scan(&h)
	} else {
		err = tx.QueryRow(`SELECT COALESCE(MAX(seq), 0) + 1 FROM sqlite_sequence WHERE name = $1`, table).Scan(&h)
	}
	return h, err
}
