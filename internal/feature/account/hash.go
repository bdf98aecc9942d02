package account

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Stored is an account's stored password hash.
type Stored struct{ ID, Hash string }

// Hashes returns the stored hashes of up to limit accounts, from the one after
// the given id on.
func Hashes(tx *db.Tx, after string, limit int) ([]Stored, error) {
	rows, err := tx.Query(`SELECT id, hash FROM account WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
	return scanHashes(rows, err)
}

// NewestHashes returns the stored hashes of the newest accounts.
func NewestHashes(tx *db.Tx, limit int) ([]Stored, error) {
	rows, err := tx.Query(`SELECT id, hash FROM account ORDER BY id DESC LIMIT $1`, limit)
	return scanHashes(rows, err)
}

func scanHashes(rows *db.Rows, err error) ([]Stored, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Stored
	for rows.Next() {
		var s Stored
		if err := rows.Scan(&s.ID, &s.Hash); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// LosePasswords looks at a page of accounts behind an id, and forgets the passwords that nothing opens any more, those that are kept for an
// undo among them: their owners set new ones, by mail. It returns the page's last id, empty behind the last, and how many lost theirs.
func LosePasswords(tx *db.Tx, after string, limit int, opens func(stored string) bool, now time.Time) (last string, lost int, err error) {
	rows, err := tx.Query(`SELECT id, hash FROM account WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
	page, err := scanHashes(rows, err)
	if err != nil || len(page) == 0 {
		return "", 0, err
	}
	for _, s := range page {
		last = s.ID
		kept, err := scanHashes(tx.Query(`SELECT id, hash FROM former_password WHERE account_id = $1`, s.ID))
		if err != nil {
			return "", 0, err
		}
		for _, former := range kept {
			if opens(former.Hash) {
				continue
			}
			if _, err := tx.Exec(`DELETE FROM former_password WHERE id = $1`, former.ID); err != nil {
				return "", 0, err
			}
		}
		if s.Hash == "" || opens(s.Hash) {
			continue
		}
		if _, err := tx.Exec(`UPDATE account SET hash = '', reset_at = COALESCE(reset_at, $2), password_n = password_n + 1 WHERE id = $1`,
			s.ID, db.Micros(now)); err != nil {
			return "", 0, err
		}
		lost++
	}
	return last, lost, nil
}

// ReplaceHash puts another form of the same hash in place of an old one, if that
// still stands there. The statement is deferred.
func ReplaceHash(tx *db.Tx, id, old, hash string) {
	tx.Defer(`UPDATE account SET hash = $3 WHERE id = $1 AND hash = $2`, id, old, hash)
}

// Former is the stored hash of a password that was replaced.
type Former struct{ ID, Account, Hash string }

// FormerHashes returns those of up to limit former passwords, from the one after the
// given id on.
func FormerHashes(tx *db.Tx, after string, limit int) ([]Former, error) {
	rows, err := tx.Query(`SELECT id, account_id, hash FROM former_password WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Former
	for rows.Next() {
		var f Former
		if err := rows.Scan(&f.ID, &f.Account, &f.Hash); err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, rows.Err()
}

// ReplaceFormer puts another form of the same hash in its place. The statement is
// deferred.
func ReplaceFormer(tx *db.Tx, id, hash string) {
	tx.Defer(`UPDATE former_password SET hash = $2 WHERE id = $1`, id, hash)
}

// CountHashes returns how many accounts have a hash that begins alike: with its form, the algorithm and the cost, such as
// h1:$2a$12, or h1:$argon; i1:$ and w1:$ are imported ones. It reads the whole table.
func CountHashes(tx *db.Tx) (map[string]int64, error) {
	rows, err := tx.Query(`SELECT SUBSTR(hash, 1, 9), COUNT(*) FROM account WHERE hash <> '' GROUP BY 1`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var (
			kind string
			n    int64
		)
		if err := rows.Scan(&kind, &n); err != nil {
			return nil, err
		}
		out[kind] = n
	}
	return out, rows.Err()
}
