package client

import "github.com/gatehouse-auth/gatehouse/internal/base/db"

// Kept is an application as one compares it with how it was.
type Kept struct {
	ID, Name string
	// Secret is the hash of its secret: it is compared, and never shown. Settings are as they are stored.
	Secret, Settings string
	Disabled         bool
}

// KeptAll returns all applications: there are some hundred at most.
func KeptAll(tx *db.Tx) (list []Kept, err error) {
	rows, err := tx.Query(`SELECT id, name, hash, settings, disabled_at FROM client ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			k        Kept
			hash     []byte
			disabled *int64
		)
		if err := rows.Scan(&k.ID, &k.Name, &hash, &k.Settings, &disabled); err != nil {
			return nil, err
		}
		k.Secret, k.Disabled = string(hash), disabled != nil
		list = append(list, k)
	}
	return list, rows.Err()
}
