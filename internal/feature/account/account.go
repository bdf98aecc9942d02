// Package account is the people who sign in: their addresses, their stored
// password hashes, their roles and their state.
package account

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Account is one person, as everything but the sign-in sees it: without the
// hash.
type Account struct {
	ID         string
	Email      string // as typed
	Name       string
	Locale     string // a BCP 47 tag, or empty
	Roles      []string
	CreatedAt  time.Time
	VerifiedAt time.Time // zero until the address is verified
	DisabledAt time.Time // zero while it may sign in
	SignedInAt time.Time // zero before the first time
}

// Credentials is what the sign-in needs to know before it does its slow work.
type Credentials struct {
	ID       string
	Hash     string
	Verified bool
	Disabled bool
	// PasswordAt is when the password was set, and SignedInAt when somebody signed in,
	// zero before the first time.
	PasswordAt, SignedInAt time.Time
	// MustReset says that the owner has told that somebody else was there: nobody
	// signs in before the password was reset.
	MustReset bool
}

// ErrNotFound is for an account that does not exist.
var ErrNotFound = fault.New(fault.NotFound, "account_not_found", "There is no such account.")

// New is an account to be made.
type New struct {
	ID       string
	Address  Address
	Hash     string
	Roles    []string
	Verified bool
}

// Create makes an account and reports whether it did: false if the address has
// one already, in which case it returns that one.
func Create(tx *db.Tx, n New, now time.Time) (a Account, created bool, err error) {
	var verified *int64
	if n.Verified {
		verified = new(db.Micros(now))
	}
	rows, err := tx.Exec(`INSERT INTO account (id, email, email_key, name, locale, roles, hash, created_at, verified_at)
		VALUES ($1, $2, $3, '', '', $4, $5, $6, $7) ON CONFLICT (email_key) DO NOTHING`,
		n.ID, n.Address.Typed, n.Address.Key, encodeRoles(n.Roles), n.Hash, db.Micros(now), verified)
	if err != nil {
		return Account{}, false, err
	}
	if rows == 1 {
		return Account{ID: n.ID, Email: n.Address.Typed, Roles: n.Roles, CreatedAt: now, VerifiedAt: db.TimeOrZero(verified)}, true, nil
	}
	a, err = scan(tx.QueryRow(`SELECT id, email, name, locale, roles, created_at, verified_at, disabled_at, signed_in_at
		FROM account WHERE email_key = $1`, n.Address.Key))
	return a, false, err
}

// ByAddress returns the credentials behind an address, or ErrNotFound.
func ByAddress(tx *db.Tx, a Address) (Credentials, error) {
	var (
		c                  Credentials
		verified, disabled *int64
		reset, signedIn    *int64
		since              int64
	)
	err := tx.QueryRow(`SELECT id, hash, verified_at, disabled_at, reset_at, COALESCE(password_at, created_at), signed_in_at FROM account
		WHERE email_key = $1`, a.Key).
		Scan(&c.ID, &c.Hash, &verified, &disabled, &reset, &since, &signedIn)
	if errors.Is(err, db.ErrNoRows) {
		return Credentials{}, ErrNotFound
	}
	c.Verified, c.Disabled, c.MustReset, c.PasswordAt = verified != nil, disabled != nil, reset != nil, db.Time(since)
	c.SignedInAt = db.TimeOrZero(signedIn)
	return c, err
}

// ByID returns an account, or ErrNotFound.
func ByID(tx *db.Tx, id string) (Account, error) {
	return scan(tx.QueryRow(`SELECT id, email, name, locale, roles, created_at, verified_at, disabled_at, signed_in_at
		FROM account WHERE id = $1`, id))
}

// Find returns the account with an id or an address, whichever it is given.
func Find(tx *db.Tx, idOrAddress string) (Account, error) {
	key := idOrAddress
	if a, err := ParseAddress("", idOrAddress); err == nil {
		key = a.Key
	}
	return scan(tx.QueryRow(`SELECT id, email, name, locale, roles, created_at, verified_at, disabled_at, signed_in_at
		FROM account WHERE id = $1 OR email_key = $2`, idOrAddress, key))
}

// List returns up to limit accounts in the order of their ids, which is that of
// their making, from the one after the given id on.
func List(tx *db.Tx, after string, limit int) ([]Account, error) {
	rows, err := tx.Query(`SELECT id, email, name, locale, roles, created_at, verified_at, disabled_at, signed_in_at
		FROM account WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Account
	for rows.Next() {
		a, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

// SignedIn records a sign-in and returns the account's roles. It takes the
// account's row, so that whoever disables it or changes its roles does so wholly
// before or wholly after. It returns ErrNotFound if the account is disabled, a
// reset of its password is demanded, or its hash is no longer the one that the password was compared with. If upgrade
// is not empty it replaces the hash.
func SignedIn(tx *db.Tx, id, hash, upgrade string, now time.Time) ([]string, error) {
	if upgrade == "" {
		upgrade = hash
	}
	var roles string
	err := tx.QueryRow(`UPDATE account SET signed_in_at = $1, hash = $2 WHERE id = $3 AND hash = $4 AND disabled_at IS NULL AND reset_at IS NULL
		RETURNING roles`, db.Micros(now), upgrade, id, hash).Scan(&roles)
	if errors.Is(err, db.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return DecodeRoles(roles)
}

// SetProfile changes the name and the locale; nil leaves one as it is.
func SetProfile(tx *db.Tx, id string, name, locale *string) (Account, error) {
	return scan(tx.QueryRow(`UPDATE account SET name = COALESCE($2, name), locale = COALESCE($3, locale) WHERE id = $1
		RETURNING id, email, name, locale, roles, created_at, verified_at, disabled_at, signed_in_at`, id, name, locale))
}

// SetDisabled disables an account or enables it again, and reports whether that
// changed anything. The caller ends the sessions.
func SetDisabled(tx *db.Tx, id string, disabled bool, now time.Time) (changed bool, err error) {
	var at *int64
	if disabled {
		at = new(db.Micros(now))
	}
	n, err := tx.Exec(`UPDATE account SET disabled_at = $2 WHERE id = $1 AND (disabled_at IS NULL) = $3`, id, at, disabled)
	return n == 1, err
}

// SetVerified marks the address as verified, and reports whether it was not.
func SetVerified(tx *db.Tx, id string, now time.Time) (changed bool, err error) {
	n, err := tx.Exec(`UPDATE account SET verified_at = $2 WHERE id = $1 AND verified_at IS NULL`, id, db.Micros(now))
	return n == 1, err
}

// SetRoles replaces the roles, and returns how often they have been replaced:
// the number tells which of two changes was the later. The caller writes the
// roles to the sessions too.
func SetRoles(tx *db.Tx, id string, roles []string) (n int64, err error) {
	err = tx.QueryRow(`UPDATE account SET roles = $2, roles_n = roles_n + 1 WHERE id = $1 RETURNING roles_n`, id, encodeRoles(roles)).Scan(&n)
	if errors.Is(err, db.ErrNoRows) {
		err = ErrNotFound
	}
	return n, err
}

func scan(row interface{ Scan(...any) error }) (Account, error) {
	var (
		a                            Account
		roles                        string
		created                      int64
		verified, disabled, signedIn *int64
	)
	err := row.Scan(&a.ID, &a.Email, &a.Name, &a.Locale, &roles, &created, &verified, &disabled, &signedIn)
	if errors.Is(err, db.ErrNoRows) {
		return Account{}, ErrNotFound
	}
	if err != nil {
		return Account{}, err
	}
	a.CreatedAt = db.Time(created)
	a.VerifiedAt, a.DisabledAt, a.SignedInAt = db.TimeOrZero(verified), db.TimeOrZero(disabled), db.TimeOrZero(signedIn)
	a.Roles, err = DecodeRoles(roles)
	return a, err
}

func encodeRoles(roles []string) string {
	if roles == nil {
		roles = []string{}
	}
	b, err := json.Marshal(roles)
	if err != nil {
		panic(fmt.Sprintf("account: roles: %v", err)) // strings can be encoded
	}
	return string(b)
}
