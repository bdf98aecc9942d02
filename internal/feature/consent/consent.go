// Package consent is what people agree to: documents by name and version, and who agreed to which, when, and took it
// back.
//
// A version of a document is a row that is never changed and never deleted: the texts in all languages, and their hash.
// A consent is a row as well. Taking one back notes the time in it, and agreeing again makes another, so that the rows
// of an account are its history. An account has at most one row in force for a version.
//
// # How it works
//
// Texts that were published before are not published again: a replica that starts with the file of yesterday leaves
// today's version in force. Every replica holds the newest versions in memory, and looks with each poll of the
// revocations whether there are more rows than it knows: see [Library]. What a sign-in asks for is decided in its
// transaction all the same: see [Newest].
package consent

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// How is where somebody agreed.
type How string

// The places: with the registration, on the way in, or in the account.
const (
	Registration How = "registration"
	SignIn       How = "sign_in"
	Account      How = "account"
)

// Consent is that somebody agreed to a version of a document.
type Consent struct {
	ID, Account, Document string
	Version               int64
	Hash                  []byte
	// Language is the one in which it was read; empty for that of all others.
	Language string
	How      How
	GivenAt  time.Time
	// WithdrawnAt is when it was taken back; zero for one in force.
	WithdrawnAt time.Time
}

// accountMost is how many rows an account may make by itself: each withdrawal and each further consent makes one.
const accountMost = 1000

// ErrTooMany is for who has agreed and withdrawn over and over.
var ErrTooMany = fault.New(fault.Conflict, "too_many_consents",
	"You have agreed and withdrawn so often that no more can be recorded here. You are asked again when you sign in, if it is required.")

// Give records a consent, unless the same one is in force, and reports whether it did. Whoever calls it holds the
// account's row.
func Give(tx *db.Tx, random secret.Random, c Consent, now time.Time) (bool, error) {
	if c.How == Account {
		var n int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM consent WHERE account_id = $1`, c.Account).Scan(&n); err != nil {
			return false, err
		}
		if n >= accountMost {
			return false, ErrTooMany
		}
	}
	n, err := tx.Exec(`INSERT INTO consent (id, account_id, document, version, hash, language, how, given_at, withdrawn_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL) ON CONFLICT (account_id, document, version) WHERE withdrawn_at IS NULL DO NOTHING`,
		random.ID(now), c.Account, c.Document, c.Version, c.Hash, c.Language, string(c.How), db.Micros(now))
	return n == 1, err
}

// Withdraw takes back every consent to a document that is in force, whatever its version, and returns the latest of those
// versions; 0 if there was none. Whoever calls it holds the account's row.
func Withdraw(tx *db.Tx, account, document string, now time.Time) (version int64, err error) {
	rows, err := tx.Query(`UPDATE consent SET withdrawn_at = $3 WHERE account_id = $1 AND document = $2 AND withdrawn_at IS NULL RETURNING version`,
		account, document, db.Micros(now))
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var v int64
		if err := rows.Scan(&v); err != nil {
			return 0, err
		}
		version = max(version, v)
	}
	return version, rows.Err()
}

// Given returns the latest version of each document that an account has agreed to, and not taken back.
func Given(tx *db.Tx, account string) (map[string]int64, error) {
	rows, err := tx.Query(`SELECT document, MAX(version) FROM consent WHERE account_id = $1 AND withdrawn_at IS NULL GROUP BY document`, account)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return versions(rows)
}

func versions(rows *db.Rows) (map[string]int64, error) {
	out := map[string]int64{}
	for rows.Next() {
		var (
			name    string
			version int64
		)
		if err := rows.Scan(&name, &version); err != nil {
			return nil, err
		}
		out[name] = version
	}
	return out, rows.Err()
}

// Of returns an account's consents, those that were taken back too, the newest first.
func Of(tx *db.Tx, account string) (list []Consent, err error) {
	rows, err := tx.Query(`SELECT id, document, version, hash, language, how, given_at, withdrawn_at FROM consent WHERE account_id = $1
		ORDER BY given_at DESC, id DESC`, account)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			c         = Consent{Account: account}
			given     int64
			withdrawn *int64
		)
		if err := rows.Scan(&c.ID, &c.Document, &c.Version, &c.Hash, &c.Language, (*string)(&c.How), &given, &withdrawn); err != nil {
			return nil, err
		}
		c.GivenAt, c.WithdrawnAt = db.Time(given), db.TimeOrZero(withdrawn)
		list = append(list, c)
	}
	return list, rows.Err()
}
