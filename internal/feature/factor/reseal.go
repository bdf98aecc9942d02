package factor

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// After JWT_SECRET_KEY is lost the ring has a new key for factors, which opens no app's secret and recognises no passkey's
// row of before. The secrets are gone. What a passkey needs is in its row, in the clear, so the row can be signed anew; but
// then whoever wrote it is believed, since nothing is left that tells a passkey of its owner's from a planted one.

// PasskeysBetween returns the passkeys of the accounts whose ids come after one, up to another.
func PasskeysBetween(tx *db.Tx, after, last string) (list []Passkey, err error) {
	rows, err := tx.Query(`SELECT id, account_id, rp_id, credential, public_key, mac, counter, eligible, backed_up, verifies, discoverable,
		aaguid, transports, name, suspect_at, made_at, used_at FROM passkey WHERE account_id > $1 AND account_id <= $2 ORDER BY account_id, id`, after, last)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		p, err := scanPasskey(rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, rows.Err()
}

// Resign signs a passkey's row anew as it was read, and reports whether it is there still, unchanged.
func (s *Store) Resign(tx *db.Tx, p Passkey, handle []byte) (bool, error) {
	was := p.mac
	s.sign(&p, handle)
	n, err := tx.Exec(`UPDATE passkey SET mac = $2 WHERE id = $1 AND mac = $3 AND account_id = $4 AND rp_id = $5 AND credential = $6 AND public_key = $7`,
		p.ID, p.mac, was, p.Account, p.RPID, p.Credential, p.PublicKey)
	return n == 1, err
}

// AppsAfter returns up to limit apps in the order of their accounts' ids, from the one after the given id on.
func AppsAfter(tx *db.Tx, after string, limit int) (list []AppRow, err error) {
	rows, err := tx.Query(`SELECT id, account_id, sealed, last_step, made_at, used_at, suspect_at FROM totp WHERE account_id > $1
		ORDER BY account_id LIMIT $2`, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		a, err := scanApp(rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, rows.Err()
}

// When the ring's key is replaced, what is good is sealed and signed anew with the one in force, before the one before is revoked.

// IsNewest reports whether the key in force made a passkey's row.
func (s *Store) IsNewest(p Passkey, handle []byte) bool {
	keys := s.keys()
	return secret.Equal(passkeyMAC(keys[len(keys)-1], p, handle), p.mac)
}

// SealAnew seals an app's secret under the key in force, if another key has sealed it that still opens it, and reports whether it did.
// A secret that no key opens is left as it is.
func (s *Store) SealAnew(tx *db.Tx, a AppRow) (bool, error) {
	keys, context := s.keys(), appContext(a.Account, a.ID)
	newest := keys[len(keys)-1]
	if _, err := secret.Open(newest, a.sealed, context); err == nil {
		return false, nil
	}
	plain, err := s.open(a.sealed, context)
	if err != nil {
		return false, nil //nolint:nilerr // it opens nothing, and never will
	}
	n, err := tx.Exec(`UPDATE totp SET sealed = $3 WHERE account_id = $1 AND id = $2 AND sealed = $4`,
		a.Account, a.ID, secret.Seal(s.random, newest, plain, context), a.sealed)
	return n == 1, err
}

// VoidOffers deletes all secrets that wait for their first code: whoever was shown one asks for another.
func VoidOffers(tx *db.Tx) error {
	_, err := tx.Exec(`DELETE FROM totp_offer`)
	return err
}

// SuspendApp makes an app suspect whose secret is gone, and reports whether it was there and was not: it counts as a factor,
// so that no password opens the account alone, and opens nothing.
func SuspendApp(tx *db.Tx, a AppRow, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE totp SET suspect_at = $3 WHERE account_id = $1 AND id = $2 AND suspect_at IS NULL`, a.Account, a.ID, db.Micros(now))
	return n == 1, err
}
