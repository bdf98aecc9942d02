package factor

import "github.com/gatehouse-auth/gatehouse/internal/base/db"

// Kept is a second factor as one compares it with how it was.
type Kept struct {
	ID, Account, Name string
	// Key is a passkey's public key.
	Key string
}

// KeysKeptAfter returns up to limit passkeys in the order of their ids, from the one after the given id on.
func KeysKeptAfter(tx *db.Tx, after string, limit int) ([]Kept, error) {
	return scanKept(tx.Query(`SELECT id, account_id, name, public_key FROM passkey WHERE id > $1 ORDER BY id LIMIT $2`, after, limit))
}

// AppsKeptAfter is [KeysKeptAfter] for apps that show codes. What seals them may be another one, so what is sealed is not compared.
func AppsKeptAfter(tx *db.Tx, after string, limit int) ([]Kept, error) {
	return scanKept(tx.Query(`SELECT id, account_id, '', NULL FROM totp WHERE id > $1 ORDER BY id LIMIT $2`, after, limit))
}

func scanKept(rows *db.Rows, err error) (list []Kept, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			k   Kept
			key []byte
		)
		if err := rows.Scan(&k.ID, &k.Account, &k.Name, &key); err != nil {
			return nil, err
		}
		k.Key = string(key)
		list = append(list, k)
	}
	return list, rows.Err()
}
