package ticket

import "github.com/gatehouse-auth/gatehouse/internal/base/db"

// Kept is the stored password hash that an undo keeps: that of factors, and that of an address if
// it was made before version 90 of the schema.
type Kept struct{ ID, Account, Hash string }

// KeptHashes returns those of up to limit undos, from the one after the given id on.
func KeptHashes(tx *db.Tx, after string, limit int) ([]Kept, error) {
	rows, err := tx.Query(`SELECT id, account_id, old_hash FROM ticket WHERE id > $1 AND (purpose = 'undo' OR purpose = 'undo_factor') AND old_hash <> ''
		ORDER BY id LIMIT $2`, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Kept
	for rows.Next() {
		var k Kept
		if err := rows.Scan(&k.ID, &k.Account, &k.Hash); err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, rows.Err()
}

// ReplaceHash puts another form of the same hash in place of an old one. The
// statement is deferred.
func ReplaceHash(tx *db.Tx, id, hash string) {
	tx.Defer(`UPDATE ticket SET old_hash = $2 WHERE id = $1`, id, hash)
}
