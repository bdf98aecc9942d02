// Package account is the people who sign in: their addresses, their stored
// password hashes, their roles and their state.
package account

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
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
	ID string
	// Email is the address as typed, Key as compared.
	Email, Key string
	Hash       string
	Roles      []string
	Verified   bool
	Disabled   bool
	// PasswordAt is when the password was set, and SignedInAt when somebody signed in,
	// zero before the first time.
	PasswordAt, SignedInAt time.Time
	// MustReset says that the owner has reported that somebody else was there: nobody
	// signs in before the password was reset.
	MustReset bool
	// PasswordN and FactorN are how often the password and the second factors have changed, and
	// Factors how many there are: the end of a sign-in names what it has looked at.
	PasswordN, FactorN int64
	Factors            int64
}

// ErrNotFound is for an account that does not exist.
var ErrNotFound = fault.New(fault.NotFound, "account_not_found", "There is no such account.")

// New is an account to be made.
type New struct {
	ID       string
	Address  Address
	Hash     string
	Name     string
	Locale   string // a BCP 47 tag, or empty
	Roles    []string
	Verified bool
	// Disabled is for who comes from another system, and may not sign in there.
	Disabled bool
	// MustReset is whether a new password must be set before anybody signs in: this one is
	// only the first step (ASVS 6.4.1).
	MustReset bool
}

// Create makes an account and reports whether it did: false if the address has
// one already, in which case it returns that one.
func Create(tx *db.Tx, n New, now time.Time) (a Account, created bool, err error) {
	var verified, reset, disabled *int64
	if n.Verified {
		verified = new(db.Micros(now))
	}
	if n.Disabled {
		disabled = new(db.Micros(now))
	}
	if n.MustReset {
		reset = new(db.Micros(now))
	}
	rows, err := tx.Exec(`INSERT INTO account (id, email, email_key, name, locale, roles, hash, created_at, verified_at, reset_at, disabled_at, words)
		VALUES ($1, $2, $3, $10, $8, $4, $5, $6, $7, $9, $11, 1) ON CONFLICT (email_key) DO NOTHING`,
		n.ID, n.Address.Typed, n.Address.Key, encodeRoles(n.Roles), n.Hash, db.Micros(now), verified, n.Locale, reset, n.Name, disabled)
	if err != nil {
		return Account{}, false, err
	}
	if rows == 1 {
		putWords(tx, n.ID, n.Address.Key, n.Name, n.Roles)
		return Account{
			ID: n.ID, Email: n.Address.Typed, Name: n.Name, Locale: n.Locale, Roles: n.Roles, CreatedAt: now,
			VerifiedAt: db.TimeOrZero(verified), DisabledAt: db.TimeOrZero(disabled),
		}, true, nil
	}
	a, err = scan(tx.QueryRow(`SELECT id, email, name, locale, roles, created_at, verified_at, disabled_at, signed_in_at
		FROM account WHERE email_key = $1`, n.Address.Key))
	return a, false, err
}

// ByAddress returns the credentials behind an address, or ErrNotFound.
func ByAddress(tx *db.Tx, a Address) (Credentials, error) {
	return scanCredentials(tx.QueryRow(`SELECT id, email, email_key, hash, roles, verified_at, disabled_at, reset_at, COALESCE(password_at, created_at),
		signed_in_at, password_n, factor_n, factors FROM account WHERE email_key = $1`, a.Key))
}

// CredentialsOf returns those of the account with the id, or ErrNotFound.
func CredentialsOf(tx *db.Tx, id string) (Credentials, error) {
	return scanCredentials(tx.QueryRow(`SELECT id, email, email_key, hash, roles, verified_at, disabled_at, reset_at, COALESCE(password_at, created_at),
		signed_in_at, password_n, factor_n, factors FROM account WHERE id = $1`, id))
}

func scanCredentials(row *db.Row) (c Credentials, err error) {
	var (
		roles              string
		verified, disabled *int64
		reset, signedIn    *int64
		since              int64
	)
	err = row.Scan(&c.ID, &c.Email, &c.Key, &c.Hash, &roles, &verified, &disabled, &reset, &since, &signedIn, &c.PasswordN, &c.FactorN, &c.Factors)
	if errors.Is(err, db.ErrNoRows) {
		return Credentials{}, ErrNotFound
	}
	if err != nil {
		return Credentials{}, err
	}
	c.Verified, c.Disabled, c.MustReset, c.PasswordAt = verified != nil, disabled != nil, reset != nil, db.Time(since)
	c.SignedInAt = db.TimeOrZero(signedIn)
	c.Roles, err = DecodeRoles(roles)
	return c, err
}

// ByID returns an account, or ErrNotFound.
func ByID(tx *db.Tx, id string) (Account, error) {
	return scan(tx.QueryRow(`SELECT id, email, name, locale, roles, created_at, verified_at, disabled_at, signed_in_at
		FROM account WHERE id = $1`, id))
}

// IDOf returns the id of the account that the address has, empty if it has none, and whether the address is verified.
func IDOf(tx *db.Tx, a Address) (id string, verified bool, err error) {
	var at *int64
	err = tx.QueryRow(`SELECT id, verified_at FROM account WHERE email_key = $1`, a.Key).Scan(&id, &at)
	if errors.Is(err, db.ErrNoRows) {
		err = nil
	}
	return id, at != nil, err
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

// MayHaveFactors is List for accounts that are not disabled, of those with the role, or of all if it is empty; bare are those
// without a second factor alone.
func MayHaveFactors(tx *db.Tx, role string, bare bool, after string, limit int) ([]Account, error) {
	most := int64(math.MaxInt64)
	if bare {
		most = 0
	}
	rows, err := tx.Query(`SELECT id, email, name, locale, roles, created_at, verified_at, disabled_at, signed_in_at
		FROM account WHERE id > $1 AND factors <= $4 AND disabled_at IS NULL AND (CAST($3 AS TEXT) = '' OR roles LIKE '%"' || CAST($3 AS TEXT) || '"%')
		ORDER BY id LIMIT $2`, after, limit, role, most)
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

// Rehash is another form of the password's hash, to be stored in the place of an old one. The
// zero value is none.
type Rehash struct{ Old, New string }

// Entered is what an account is at the end of a sign-in.
type Entered struct {
	Roles []string
	// Factors is how many second factors it has.
	Factors int64
	// Kept says that the account was to be erased, and no longer is.
	Kept bool
}

// SignedIn records a sign-in, and that whoever signs in keeps the account. It takes the
// account's row, so that whoever disables it or changes its roles does so wholly
// before or wholly after. It returns ErrNotFound if the account is disabled, a
// reset of its password is demanded, or its password or its factors are no longer those
// that the sign-in has looked at: a count and not the rows of factors, which could be
// read as they were before the wait for this row.
func SignedIn(tx *db.Tx, id string, passwordN, factorN int64, r Rehash, now time.Time) (Entered, error) {
	return scanEntered(tx.QueryRow(`UPDATE account SET signed_in_at = $1,
			erase_at = NULL, erase_why = CASE WHEN erase_at IS NULL THEN '' ELSE 'kept' END, hash = CASE WHEN hash = $5 AND $6 <> '' THEN $6 ELSE hash END
		WHERE id = $2 AND password_n = $3 AND factor_n = $4 AND disabled_at IS NULL AND reset_at IS NULL
		RETURNING roles, factors, erase_why`, db.Micros(now), id, passwordN, factorN, r.Old, r.New))
}

func scanEntered(row *db.Row) (e Entered, err error) {
	var (
		roles string
		why   EraseWhy
	)
	err = row.Scan(&roles, &e.Factors, (*string)(&why))
	if errors.Is(err, db.ErrNoRows) {
		return e, ErrNotFound
	}
	if err != nil {
		return e, err
	}
	e.Kept = why == eraseKept
	e.Roles, err = DecodeRoles(roles)
	return e, err
}

// StoreRehash stores another form of a hash where the sign-in goes on to a second step. The
// statement is deferred.
func StoreRehash(tx *db.Tx, id string, r Rehash) {
	if r.New != "" {
		tx.Defer(`UPDATE account SET hash = $3 WHERE id = $1 AND hash = $2`, id, r.Old, r.New)
	}
}

// SetProfile changes the name and the locale; nil leaves one as it is.
func SetProfile(tx *db.Tx, id string, name, locale *string) (Account, error) {
	a, err := scan(tx.QueryRow(`UPDATE account SET name = COALESCE($2, name), locale = COALESCE($3, locale) WHERE id = $1
		RETURNING id, email, name, locale, roles, created_at, verified_at, disabled_at, signed_in_at`, id, name, locale))
	if err == nil && name != nil {
		err = rewriteWords(tx, id)
	}
	return a, err
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
	if err == nil {
		err = rewriteWords(tx, id)
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
