// Package upstream is signing in by other providers: which ones there are (UPSTREAMS_FILE), what is asked of them and
// checked of their answers, and the identities that accounts have there.
//
// An identity is a provider's issuer and its subject, and never an address: an address can be given to somebody else, and
// not every provider looks whose it is. It matters once, at the first sign-in, and only as far as [Judge] says.
//
// What was asked for travels sealed in a strict cookie, so strangers write no row, and the callback bounces once to have
// it. A model of thief and owner tries Judge with its mutants, and what it decides on is looked at again under the
// account's row: of any number at once one makes the account. Whatever a provider says is one factor, and ends where every
// sign-in does.
package upstream

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Identity is what an account signs in with elsewhere.
type Identity struct {
	// Issuer and Subject are what it is.
	Issuer, Subject string
	Account         string
	// Email is the address that it had when it was linked; it may be empty.
	Email            string
	LinkedAt, UsedAt time.Time
}

// ErrNotFound is for an identity that no account has.
var ErrNotFound = fault.New(fault.NotFound, "identity_not_found", "This account is not linked to such an account at another provider.")

// Handle is what the identity is called in addresses and forms, where its subject has no place.
func (i Identity) Handle() string {
	sum := sha256.Sum256([]byte(i.Issuer + "\x00" + i.Subject))
	return base64.RawURLEncoding.EncodeToString(sum[:15])
}

// Find returns an identity, or ErrNotFound.
func Find(tx *db.Tx, issuer, subject string) (Identity, error) {
	return scan(tx.QueryRow(`SELECT provider, subject, account_id, email, linked_at, used_at FROM identity WHERE provider = $1 AND subject = $2`,
		issuer, subject))
}

// Link makes an identity an account's, and reports whether it did: false if it is one's already. Whoever calls it holds the
// account's row.
func Link(tx *db.Tx, i Identity, now time.Time) (bool, error) {
	n, err := tx.Exec(`INSERT INTO identity (provider, subject, account_id, email, linked_at, used_at) VALUES ($1, $2, $3, $4, $5, $5)
		ON CONFLICT (provider, subject) DO NOTHING`, i.Issuer, i.Subject, i.Account, i.Email, db.Micros(now))
	return n == 1, err
}

// Used notes that somebody signs in with it, or returns ErrNotFound if it is the account's no more. Whoever calls it holds
// the account's row.
func Used(tx *db.Tx, i Identity, now time.Time) error {
	n, err := tx.Exec(`UPDATE identity SET used_at = $4 WHERE provider = $1 AND subject = $2 AND account_id = $3`,
		i.Issuer, i.Subject, i.Account, db.Micros(now))
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// Of returns an account's identities, the one that was linked first before the others.
func Of(tx *db.Tx, account string) ([]Identity, error) {
	return list(tx.Query(`SELECT provider, subject, account_id, email, linked_at, used_at FROM identity
		WHERE account_id = $1 ORDER BY linked_at, provider, subject`, account))
}

// Unlink takes an identity from an account, and reports whether it was its. Whoever calls it holds the account's row.
func Unlink(tx *db.Tx, i Identity) (bool, error) {
	n, err := tx.Exec(`DELETE FROM identity WHERE provider = $1 AND subject = $2 AND account_id = $3`, i.Issuer, i.Subject, i.Account)
	return n == 1, err
}

// DropSince takes those from an account that were linked since a time, all with the zero time, and returns them. Whoever calls
// it holds the account's row.
func DropSince(tx *db.Tx, account string, since time.Time) ([]Identity, error) {
	from := int64(0)
	if !since.IsZero() {
		from = db.Micros(since)
	}
	return list(tx.Query(`DELETE FROM identity WHERE account_id = $1 AND linked_at >= $2
		RETURNING provider, subject, account_id, email, linked_at, used_at`, account, from))
}

// Erase deletes those of an account that is being erased. There are at most some dozens.
func Erase(tx *db.Tx, account string) (int64, error) {
	return tx.Exec(`DELETE FROM identity WHERE account_id = $1`, account)
}

// Count returns how many accounts have an identity of an issuer.
func Count(tx *db.Tx, issuer string) (n int64, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM identity WHERE provider = $1`, issuer).Scan(&n)
	return n, err
}

func list(rows *db.Rows, err error) ([]Identity, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Identity
	for rows.Next() {
		i, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, rows.Err()
}

func scan(row interface{ Scan(...any) error }) (i Identity, err error) {
	var linked, used int64
	err = row.Scan(&i.Issuer, &i.Subject, &i.Account, &i.Email, &linked, &used)
	if errors.Is(err, db.ErrNoRows) {
		return i, ErrNotFound
	}
	i.LinkedAt, i.UsedAt = db.Time(linked), db.Time(used)
	return i, err
}
