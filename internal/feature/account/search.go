package account

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// State is how an account stands, for those who look for accounts.
type State string

// The states. One account may be in several; Active is for none of the others.
const (
	Active     State = "active"
	Unverified State = "unverified"
	Disabled   State = "disabled"
	ResetDue   State = "reset_due"
)

// States returns all, in the order of a list to choose from.
func States() []State { return []State{Active, Unverified, ResetDue, Disabled} }

// Wanted says which accounts are looked for. What is empty filters nothing.
type Wanted struct {
	// Text is the beginnings of words of the address, the name or the id, in any order:
	// all of them must be found. An address may be written whole.
	Text  string
	Role  string
	State State
	// After is the cursor of the page before.
	After string
}

// Found is a page of accounts.
type Found struct {
	List []Row
	// Next is the cursor of the next page, or empty. A page may have fewer accounts
	// than were asked for, or none, and yet a cursor, if few pass the filters.
	Next string
	// Count is how many there are at least, and Exact whether that is all.
	Count int
	Exact bool
}

// Row is an account in a list.
type Row struct {
	Account
	ResetDue bool
}

// State is the one that matters most.
func (r Row) State() State {
	switch {
	case !r.DisabledAt.IsZero():
		return Disabled
	case r.ResetDue:
		return ResetDue
	case r.VerifiedAt.IsZero():
		return Unverified
	}
	return Active
}

const (
	// mostTerms is how many words a search looks for; the others are not asked for.
	mostTerms = 3
	// countMost is how far is counted.
	countMost = 1000
	// candidatesMost is how many rows of the index one page looks at.
	candidatesMost = 2000
)

// ErrCursor is for a cursor that no page gave.
var ErrCursor = fault.Field("cursor", "invalid_cursor", "The cursor must be the next_cursor of an earlier answer.")

// term is one word that must be found: a range of the index.
type term struct{ kind, low, high string }

// last is after every text that begins with what stands before it.
const last = "\U0010ffff"

// terms returns what is looked for. An address, or a part of it, is one term.
func (w Wanted) terms() (list []term) {
	if w.Role != "" {
		list = append(list, term{kindRole, w.Role, w.Role + "\x01"})
	}
	for part := range strings.FieldsSeq(fold(w.Text)) {
		part = cut(strings.TrimPrefix(part, "@"))
		if part == "" || len(list) == mostTerms {
			continue
		}
		list = append(list, term{kindWord, part, part + last})
	}
	return list
}

// Search returns a page of the accounts that are wanted: those that are found by words
// in the order of the word, all others from the newest on.
func Search(tx *db.Tx, w Wanted, limit int) (Found, error) {
	terms := w.terms()
	if len(terms) == 0 && strings.TrimSpace(w.Text) != "" {
		return Found{Exact: true}, nil
	}
	if len(terms) == 0 {
		return latest(tx, w, limit)
	}
	best, fewest, err := rarest(tx, terms)
	if err != nil {
		return Found{}, err
	}
	terms[0], terms[best] = terms[best], terms[0]
	f, err := byWords(tx, w, terms, limit)
	if err != nil {
		return f, err
	}
	switch {
	case w.After == "" && f.Next == "":
		f.Count, f.Exact = len(f.List), true
	case len(terms) == 1 && w.State == "":
		f.Count, f.Exact = fewest, fewest < countMost
	default:
		f.Count = len(f.List)
	}
	return f, nil
}

// rarest returns which term the fewest accounts have, and how many, as far as is
// counted.
func rarest(tx *db.Tx, terms []term) (best, fewest int, err error) {
	fewest = countMost + 1
	for i, t := range terms {
		var n int
		err := tx.QueryRow(`SELECT COUNT(DISTINCT c.account_id) FROM (SELECT account_id FROM account_word
			WHERE kind = $1 AND word >= $2 AND word < $3 LIMIT $4) AS c`, t.kind, t.low, t.high, countMost).Scan(&n)
		if err != nil {
			return 0, 0, err
		}
		if n < fewest {
			best, fewest = i, n
		}
	}
	return best, fewest, nil
}

// byWordsSQL looks at a bounded number of rows of the index, from the cursor on, and
// keeps those whose account has the other terms as well, and is in the state. An
// account with several words that begin alike counts by the first of them. The OFFSET keeps
// PostgreSQL from reading all accounts that have the other terms into a table of its own.
const byWordsSQL = `SELECT c.word, a.id, a.email, a.name, a.locale, a.roles, a.created_at, a.verified_at, a.disabled_at, a.signed_in_at, a.reset_at
	FROM (SELECT word, account_id FROM account_word WHERE kind = $1 AND (word, account_id) > ($4, $5) AND word < $3
		ORDER BY word, account_id LIMIT $6) AS c CROSS JOIN account AS a
	WHERE a.id = c.account_id
	AND NOT EXISTS (SELECT 1 FROM account_word AS e WHERE e.account_id = c.account_id AND e.kind = $1 AND e.word >= $2 AND e.word < c.word)
	AND ($7 = '' OR EXISTS (SELECT 1 FROM account_word AS b WHERE b.account_id = c.account_id AND b.kind = $7 AND b.word >= $8 AND b.word < $9
		LIMIT 1 OFFSET 0))
	AND ($10 = '' OR EXISTS (SELECT 1 FROM account_word AS d WHERE d.account_id = c.account_id AND d.kind = $10 AND d.word >= $11 AND d.word < $12
		LIMIT 1 OFFSET 0))
	AND ($13 = '' OR $13 = 'disabled' AND a.disabled_at IS NOT NULL OR $13 = 'unverified' AND a.verified_at IS NULL
		OR $13 = 'reset_due' AND a.reset_at IS NOT NULL
		OR $13 = 'active' AND a.disabled_at IS NULL AND a.verified_at IS NOT NULL AND a.reset_at IS NULL)
	ORDER BY c.word, c.account_id LIMIT $14`

func byWords(tx *db.Tx, w Wanted, terms []term, limit int) (f Found, err error) {
	first := terms[0]
	// The one lower bound, since SQLite would take the cursor for it and not the prefix, and read all words before.
	after := [2]string{first.low, ""}
	if w.After != "" {
		if after, err = openCursor(w.After); err != nil {
			return f, err
		}
		if after[0] < first.low { // of another search
			after = [2]string{first.low, ""}
		}
	}
	terms = append(terms, make([]term, mostTerms)...)[:mostTerms]
	words, err := rows(tx, &f, limit, func(n int) (*db.Rows, error) {
		return tx.Query(byWordsSQL, first.kind, first.low, first.high, after[0], after[1], candidatesMost,
			terms[1].kind, terms[1].low, terms[1].high, terms[2].kind, terms[2].low, terms[2].high, string(w.State), n)
	})
	if err != nil {
		return f, err
	}
	if len(f.List) > limit {
		f.List = f.List[:limit]
		f.Next = cursor(words[limit-1], f.List[limit-1].ID)
		return f, nil
	}
	// Were those all, or only all of the rows that were looked at?
	var word, id string
	err = tx.QueryRow(`SELECT word, account_id FROM account_word WHERE kind = $1 AND (word, account_id) > ($2, $3) AND word < $4
		ORDER BY word, account_id LIMIT 1 OFFSET $5`, first.kind, after[0], after[1], first.high, candidatesMost-1).Scan(&word, &id)
	switch {
	case errors.Is(err, db.ErrNoRows):
		return f, nil
	case err == nil:
		f.Next = cursor(word, id)
	}
	return f, err
}

// The lists without a word, newest first: the sparse states have an index each.
const (
	latestSQL = `SELECT '', a.id, a.email, a.name, a.locale, a.roles, a.created_at, a.verified_at, a.disabled_at, a.signed_in_at, a.reset_at
		FROM account AS a WHERE a.id < $1 ORDER BY a.id DESC LIMIT $2`
	latestActiveSQL = `SELECT '', a.id, a.email, a.name, a.locale, a.roles, a.created_at, a.verified_at, a.disabled_at, a.signed_in_at, a.reset_at
		FROM account AS a WHERE a.id < $1 AND a.disabled_at IS NULL AND a.verified_at IS NOT NULL AND a.reset_at IS NULL ORDER BY a.id DESC LIMIT $2`
	latestUnverifiedSQL = `SELECT '', a.id, a.email, a.name, a.locale, a.roles, a.created_at, a.verified_at, a.disabled_at, a.signed_in_at, a.reset_at
		FROM account AS a WHERE a.id < $1 AND a.verified_at IS NULL ORDER BY a.id DESC LIMIT $2`
	latestDisabledSQL = `SELECT '', a.id, a.email, a.name, a.locale, a.roles, a.created_at, a.verified_at, a.disabled_at, a.signed_in_at, a.reset_at
		FROM account AS a WHERE a.id < $1 AND a.disabled_at IS NOT NULL ORDER BY a.id DESC LIMIT $2`
	latestResetSQL = `SELECT '', a.id, a.email, a.name, a.locale, a.roles, a.created_at, a.verified_at, a.disabled_at, a.signed_in_at, a.reset_at
		FROM account AS a WHERE a.id < $1 AND a.reset_at IS NOT NULL ORDER BY a.id DESC LIMIT $2`
)

func latest(tx *db.Tx, w Wanted, limit int) (f Found, err error) {
	before := "g" // after every id, which is hexadecimal, in any collation
	if w.After != "" {
		after, err := openCursor(w.After)
		if err != nil {
			return f, err
		}
		before = after[1]
	}
	_, err = rows(tx, &f, limit, func(n int) (*db.Rows, error) {
		switch w.State {
		case Active:
			return tx.Query(latestActiveSQL, before, n)
		case Unverified:
			return tx.Query(latestUnverifiedSQL, before, n)
		case Disabled:
			return tx.Query(latestDisabledSQL, before, n)
		case ResetDue:
			return tx.Query(latestResetSQL, before, n)
		}
		return tx.Query(latestSQL, before, n)
	})
	if err != nil {
		return f, err
	}
	f.Count, f.Exact = len(f.List), w.After == "" && len(f.List) <= limit
	if len(f.List) > limit {
		f.List = f.List[:limit]
		f.Next = cursor("", f.List[limit-1].ID)
	}
	return f, nil
}

// rows reads one account more than the limit, and the words they were found by.
func rows(tx *db.Tx, f *Found, limit int, query func(n int) (*db.Rows, error)) (words []string, err error) {
	list, err := query(limit + 1)
	if err != nil {
		return nil, err
	}
	defer list.Close()
	for list.Next() {
		var (
			word  string
			reset *int64
		)
		a, err := scan(scanning(func(dest ...any) error { return list.Scan(append(append([]any{&word}, dest...), &reset)...) }))
		if err != nil {
			return nil, err
		}
		words = append(words, word)
		f.List = append(f.List, Row{a, reset != nil})
	}
	return words, list.Err()
}

// scanning is a row by its Scan.
type scanning func(dest ...any) error

// Scan implements the row of scan.
func (s scanning) Scan(dest ...any) error { return s(dest...) }

// cursor names the place after an account in a list.
func cursor(word, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(id + word))
}

// idLength is how long every id is.
const idLength = 36

func openCursor(s string) ([2]string, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) < idLength || len(b) > idLength+2*longestWord || !utf8.Valid(b) || strings.IndexByte(string(b), 0) >= 0 {
		return [2]string{}, ErrCursor
	}
	return [2]string{string(b[idLength:]), string(b[:idLength])}, nil
}

// Detail is an account with what those who help its owner look at.
type Detail struct {
	Row
	// PasswordAt is when the password was set.
	PasswordAt time.Time
	// AddressKey is the address as it is compared.
	AddressKey string
}

// DetailByID returns it, or ErrNotFound.
func DetailByID(tx *db.Tx, id string) (d Detail, err error) {
	var (
		reset    *int64
		password int64
	)
	row := tx.QueryRow(`SELECT id, email, name, locale, roles, created_at, verified_at, disabled_at, signed_in_at, reset_at,
		COALESCE(password_at, created_at), email_key FROM account WHERE id = $1`, id)
	d.Account, err = scan(scanning(func(dest ...any) error { return row.Scan(append(dest, &reset, &password, &d.AddressKey)...) }))
	d.ResetDue, d.PasswordAt = reset != nil, db.Time(password)
	return d, err
}

// Administrator is an enabled account with the role admin.
type Administrator struct {
	Email string
	// SignedInAt is the last sign-in, or the opening of the account if there was none.
	SignedInAt time.Time
}

// Administrators returns up to limit of them.
func Administrators(tx *db.Tx, limit int) (list []Administrator, err error) {
	rows, err := tx.Query(`SELECT a.email, COALESCE(a.signed_in_at, a.created_at) FROM account_word AS w JOIN account AS a ON a.id = w.account_id
		WHERE w.kind = 'role' AND w.word = 'admin' AND a.disabled_at IS NULL ORDER BY a.email LIMIT $1`, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			a  Administrator
			at int64
		)
		if err := rows.Scan(&a.Email, &at); err != nil {
			return nil, err
		}
		a.SignedInAt = db.Time(at)
		list = append(list, a)
	}
	return list, rows.Err()
}

// WithRole returns the ids of up to limit accounts that have a role.
func WithRole(tx *db.Tx, role string, limit int) ([]string, error) {
	return db.Strings(tx.Query(`SELECT account_id FROM account_word WHERE kind = 'role' AND word = $1 ORDER BY account_id LIMIT $2`, role, limit))
}

// OtherAdmin reports whether an enabled account other than this one has the role
// admin, and is not to be erased.
func OtherAdmin(tx *db.Tx, id string) (bool, error) {
	var one int64
	err := tx.QueryRow(`SELECT 1 FROM account_word AS w JOIN account AS a ON a.id = w.account_id
		WHERE w.kind = 'role' AND w.word = 'admin' AND w.account_id <> $1 AND a.disabled_at IS NULL AND a.erase_at IS NULL
		LIMIT 1`, id).Scan(&one)
	if errors.Is(err, db.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// OtherAdminWhoGetsIn is [OtherAdmin], and leaves out whose second factors are all suspect.
func OtherAdminWhoGetsIn(tx *db.Tx, id string) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT COUNT(*) FROM account_word AS w JOIN account AS a ON a.id = w.account_id
		WHERE w.kind = 'role' AND w.word = 'admin' AND w.account_id <> $1 AND a.disabled_at IS NULL AND a.erase_at IS NULL
		AND (a.factors = 0 OR EXISTS (SELECT 1 FROM totp AS t WHERE t.account_id = a.id AND t.suspect_at IS NULL)
			OR EXISTS (SELECT 1 FROM passkey AS p WHERE p.account_id = a.id AND p.suspect_at IS NULL))`, id).Scan(&n)
	return n > 0, err
}

// HoldAdmins makes whoever takes away an administrator wait for this transaction.
func HoldAdmins(tx *db.Tx) error {
	_, err := tx.Exec(`UPDATE install SET admin_at = admin_at`)
	return err
}

// CountAfter counts up to limit accounts after the one of an id, and returns the last
// one's id.
func CountAfter(tx *db.Tx, after string, limit int) (n int, last string, err error) {
	err = tx.QueryRow(`SELECT COUNT(*), COALESCE(MAX(id), '') FROM (SELECT id FROM account WHERE id > $1 ORDER BY id LIMIT $2) AS page`,
		after, limit).Scan(&n, &last)
	return n, last, err
}
