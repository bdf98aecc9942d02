// Package factor is second factors: apps that show codes, passkeys, the recovery codes
// that stand in for them, and the sign-ins that have shown a password and wait for one.
//
// An account that has any factor has a second step; there is no switch beside it.
// Recovery codes are no factor: they come with the first one and go with the last.
// How many factors an account has, and how often they have changed, stands in its own
// row (account.factors, account.factor_n): the end of every sign-in names the latter,
// so that none that began before a change ends after it.
//
// # How it works
//
// Whoever uses something here holds the account's row already, and takes the pending
// sign-in before the rows of factors. Everything that works once is spent by an update
// that names what it was: of any number at once one gets a row. A try is counted, and
// committed, before the code is looked at; the code is computed with no transaction
// open. Secrets are sealed under the ring's key for factors with the account and the row
// for context, so that a row that is copied to another account opens nothing.
//
// A pending sign-in is a row with five tries, deleted by whoever wins. Codes have buckets of their own (package lockout),
// by the account's id, that never fade. Mutants judge the races (mutant_test.go), and a model of owner and thief tries
// every sequence on the product's own buckets (lockout/owner_model_test.go).
//
// A passkey's challenge is no row but a MAC over its time, purpose and binding; its hash is spent in the session's
// transaction. go-webauthn checks what is signed, and we what it would take (origin to the byte, frames, handle) or can't
// know (counter, flags, whose it is). Each row has a MAC. forged_test.go forges them by hand.
package factor

import (
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Kind is the sort of a factor, or of what stands in for one.
type Kind string

// The kinds.
const (
	App      Kind = "totp"
	Recovery Kind = "recovery_code"
)

// Store makes factors and opens their secrets.
type Store struct {
	// keys returns the ring's keys for factors, the one in force last.
	keys   func() [][]byte
	random secret.Random
}

// NewStore returns the store whose secrets are sealed under the last of the keys, and
// opened with any.
func NewStore(keys func() [][]byte, random secret.Random) *Store {
	return &Store{keys: keys, random: random}
}

// seal seals a secret under the key in force.
func (s *Store) seal(plain []byte, context string) []byte {
	keys := s.keys()
	return secret.Seal(s.random, keys[len(keys)-1], plain, context)
}

// open opens what seal sealed, under whichever key that was.
func (s *Store) open(sealed []byte, context string) (plain []byte, err error) {
	keys := s.keys()
	for i := len(keys) - 1; i >= 0; i-- {
		if plain, err = secret.Open(keys[i], sealed, context); err == nil {
			return plain, nil
		}
	}
	return nil, err
}

// RemoveSince deletes all factors and recovery codes of an account that were made at the
// given time or later, and with the last factor all recovery codes. It returns the kinds
// of the factors that it deleted. Whoever calls it holds the account's row, and takes as
// many off its count.
func RemoveSince(tx *db.Tx, account string, since time.Time) (gone []Kind, err error) {
	at := db.Micros(since)
	if _, err := tx.Exec(`DELETE FROM totp_offer WHERE account_id = $1`, account); err != nil {
		return nil, err
	}
	apps, err := tx.Exec(`DELETE FROM totp WHERE account_id = $1 AND made_at >= $2`, account, at)
	if err != nil {
		return nil, err
	}
	for range apps {
		gone = append(gone, App)
	}
	keys, err := tx.Exec(`DELETE FROM passkey WHERE account_id = $1 AND made_at >= $2`, account, at)
	if err != nil {
		return nil, err
	}
	for range keys {
		gone = append(gone, Key)
	}
	_, err = tx.Exec(`DELETE FROM recovery_code WHERE account_id = $1 AND (made_at >= $2
		OR NOT EXISTS (SELECT 1 FROM totp WHERE totp.account_id = $1) AND NOT EXISTS (SELECT 1 FROM passkey WHERE passkey.account_id = $1))`, account, at)
	return gone, err
}

// Owned is what an account has, as its owner is shown it.
type Owned struct {
	App  *OwnedApp
	Keys []Passkey
	// CodesLeft is how many recovery codes are unused.
	CodesLeft int
}

// OwnedApp is an app that shows codes.
type OwnedApp struct {
	MadeAt time.Time
	UsedAt time.Time // zero before the first time
	// SuspectAt is since when it may be an attacker's, and opens nothing; zero if it is not.
	SuspectAt time.Time
}

// Own returns it.
func Own(tx *db.Tx, account string) (o Owned, err error) {
	t, found, err := AppOf(tx, account)
	if err != nil {
		return o, err
	}
	if found {
		o.App = &OwnedApp{t.MadeAt, t.UsedAt, t.SuspectAt}
	}
	if o.Keys, err = PasskeysOf(tx, account); err != nil {
		return o, err
	}
	o.CodesLeft, err = CodesLeft(tx, account)
	return o, err
}

// Factors are the kinds of the factors, which recovery codes are none of.
func (o Owned) Factors() []Kind {
	kinds := []Kind{}
	if o.App != nil {
		kinds = append(kinds, App)
	}
	for range o.Keys {
		kinds = append(kinds, Key)
	}
	return kinds
}

// Kinds are the ways of a second step that the account has at the host with the RP ID, which
// is empty where passkeys are off, in the order in which they are offered: a recovery code is
// never the first.
func (o Owned) Kinds(rpID string) []Kind {
	kinds := []Kind{} // there may be none: all are suspect
	if slices.ContainsFunc(o.Keys, func(p Passkey) bool { return p.Usable(rpID) }) {
		kinds = append(kinds, Key)
	}
	if o.App != nil && o.App.SuspectAt.IsZero() {
		kinds = append(kinds, App)
	}
	if o.CodesLeft > 0 {
		kinds = append(kinds, Recovery)
	}
	return kinds
}
