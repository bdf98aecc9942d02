// Package ticket is the links and the codes in mails: each works once, for one
// purpose, as long as the account's password is the one it was made under.
//
// A link's token is 256 random bits, of which the row keeps the SHA-256. A code
// is eight characters for typing, kept as a keyed hash: it can be guessed, so it
// lives ten minutes, five tries kill it, and an address has twenty tries a day at
// all of its codes, which no new mail resets. A wrong code never harms the link.
// A code is good only together with the request that had it sent, which only whoever
// asked knows (ASVS 6.6.2): who talks it out of somebody else can't use it. A link
// is good anywhere.
//
// Whoever uses one takes the account's row first and the ticket's after it, by
// [Consume]; of any number at once one gets it. A used one stays until it expires,
// so that whoever presses twice is not told that they failed.
//
// # How it works
//
// Whoever uses a ticket names how often the account's password had been replaced
// (account.password_n) in the update of the account, and uses up the ticket's row
// after it: so a link is void after any change, one of many wins, and no two lock
// each other out. A code is tried in a transaction that commits whatever comes of
// it. Tries of the day are counted by the address's keyed hash, unknown addresses
// too.
package ticket

import (
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Purpose is what a ticket is good for, and nothing else.
type Purpose string

// The purposes.
const (
	// Verify shows that the account's address is its owner's.
	Verify Purpose = "verify"
	// Reset sets a new password.
	Reset Purpose = "reset"
	// Change makes another address the account's.
	Change Purpose = "change"
	// Undo takes back a change of address.
	Undo Purpose = "undo"
	// NotMe is "this wasn't me".
	NotMe Purpose = "not_me"
	// Invite sets the first password of an account that was opened for somebody.
	Invite Purpose = "invite"
	// Factor lets whoever is signed in add a first second factor. The mail has a code alone.
	Factor Purpose = "factor"
	// FactorInvite does the same as the code of a Factor, where no mail can be sent: an operator gives it to the owner.
	FactorInvite Purpose = "factor_invite"
	// UndoFactor takes back second factors and recovery codes.
	UndoFactor Purpose = "undo_factor"
	// SignUp makes the account of somebody who has signed in at another provider. The mail has a code alone, and its account's id is the
	// one that it will have.
	SignUp Purpose = "sign_up"
	// StopReset keeps second factors that an operator would take away.
	StopReset Purpose = "stop_reset"
)

// prefix begins every token, so that scanners for leaked secrets can find them.
const prefix = "gatehouse_mt_"

// lives is how long the links work. An undo and a "this wasn't me" only take away
// what somebody else may have got, and their mails may be read late.
var lives = map[Purpose]time.Duration{
	Verify: 24 * time.Hour, Reset: 30 * time.Minute, Change: 30 * time.Minute, Undo: 7 * 24 * time.Hour, NotMe: 7 * 24 * time.Hour,
	Invite: 7 * 24 * time.Hour,
	SignUp: CodeLife,
	Factor: CodeLife, FactorInvite: 30 * time.Minute, UndoFactor: 7 * 24 * time.Hour, StopReset: 7 * 24 * time.Hour,
}

// IsToken reports whether something that was typed is the token of a link, and no code.
func IsToken(typed string) bool { return strings.HasPrefix(typed, prefix) }

// Life is how long a link works.
func (p Purpose) Life() time.Duration { return lives[p] }

// coded reports whether there can be a code beside the link: where something is to
// be done, and nowhere else.
func (p Purpose) coded() bool {
	return p == Verify || p == Reset || p == Change || p == Factor || p == SignUp
}

// ErrLink is for a link that does not work.
var ErrLink = fault.New(fault.Invalid, "invalid_link",
	"This link does not work, or no longer works: it can be used once, for a limited time, and only until the password is changed. Please ask for a new mail.")

// ErrUsed is the cause of an ErrLink or an ErrCode for one that worked, and was
// used.
var ErrUsed = errors.New("it was used before")

// Store makes tickets and takes them.
type Store struct {
	key    func() []byte
	random secret.Random
}

// NewStore returns the store whose codes are hashed under the key.
func NewStore(key func() []byte, random secret.Random) *Store {
	return &Store{key: key, random: random}
}

// Ticket is one as it stands in its row.
type Ticket struct {
	ID      string
	Purpose Purpose
	Account string
	// Address is where the mail went, or what an undo goes back to: as typed, and as
	// compared.
	Address, AddressKey string
	// PasswordN is how often the account's password had been replaced.
	PasswordN int64
	// OldHash is the stored hash that an undo asks the password of: that of factors, and that of
	// an address if it was made before version 90 of the schema.
	OldHash string
	// Seq is which change of address an undo takes back: how often the account's had
	// been changed, with it. Holds says that the address had been verified.
	Seq   int64
	Holds bool
	// Request is what whoever asked was given, of [Store.NewRequest]: its code is good
	// only with it. Without one there is no code, only a link.
	Request string
	// Until is when it expires; the purpose's life from now on, if it is zero.
	Until time.Time
	// Used is when it was used, of one that [ByToken] says was.
	Used time.Time
}

// Secrets is what stands in the mail.
type Secrets struct{ Token, Code string }

// NewRequest returns what ties a code to whoever asked for it: 128 random bits.
func (s *Store) NewRequest() string { return s.random.Text(requestSize) }

// requestHash is how a request is kept: nobody learns it from a row. It is nil for none.
func requestHash(request string) []byte {
	if request == "" {
		return nil
	}
	hash := sha256.Sum256([]byte(request))
	return hash[:]
}

// Issue makes a ticket of everything but its id. Those of earlier mails work on, codes
// too: each is good for whoever asked for it, so nobody takes an owner's by asking for
// another mail. The statement is deferred.
func (s *Store) Issue(tx *db.Tx, t Ticket, now time.Time) Secrets {
	out := Secrets{Token: prefix + s.random.Text(secret.KeySize)}
	hash := sha256.Sum256([]byte(out.Token))
	var code []byte
	if t.Purpose.coded() && t.Request != "" {
		out.Code = newCode(s.random)
		code = s.codeHash(t.Purpose, t.AddressKey, out.Code)
	}
	if t.Until.IsZero() {
		t.Until = now.Add(t.Purpose.Life())
	}
	holds := int64(0)
	if t.Holds {
		holds = 1
	}
	tx.Defer(`INSERT INTO ticket
		(id, account_id, purpose, address, address_key, password_n, hash, code, code_until, tries, old_hash, expires_at, seq, holds, request)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, $12, $13, $14)`,
		s.random.ID(now), t.Account, string(t.Purpose), t.Address, t.AddressKey, t.PasswordN, hash[:], code,
		db.Micros(now.Add(CodeLife)), t.OldHash, db.Micros(t.Until), t.Seq, holds, requestHash(t.Request))
	return out
}

// ByToken returns the ticket of a link, if it is for one of two purposes, or
// ErrLink. It does not use it up. One that was used is returned with an ErrLink
// whose cause is ErrUsed.
func ByToken(tx *db.Tx, token string, now time.Time, p, or Purpose) (t Ticket, err error) {
	hash := sha256.Sum256([]byte(token))
	var used *int64
	err = scan(tx.QueryRow(`SELECT id, purpose, account_id, address, address_key, password_n, old_hash, seq, holds, expires_at, used_at FROM ticket
		WHERE hash = $1 AND expires_at > $2 AND (purpose = $3 OR purpose = $4)`,
		hash[:], db.Micros(now), string(p), string(or)), &t, &used)
	switch {
	case errors.Is(err, db.ErrNoRows):
		err = ErrLink
	case err == nil && used != nil:
		t.Used, err = db.Time(*used), ErrLink.Because(ErrUsed)
	}
	return t, err
}

// Consume uses a ticket up, or returns ErrLink if it is void, with ErrUsed for its
// cause if it was used before. Whoever calls it holds the account's row.
func Consume(tx *db.Tx, t Ticket, now time.Time) error {
	n, err := tx.Exec(`UPDATE ticket SET used_at = $2 WHERE id = $1 AND used_at IS NULL AND expires_at > $2`, t.ID, db.Micros(now))
	if err == nil && n == 0 {
		err = Gone(tx, t)
	}
	return err
}

// Gone returns why a ticket that was good a moment ago is not: ErrLink, with
// ErrUsed for its cause if it was used meanwhile.
func Gone(tx *db.Tx, t Ticket) error {
	var one int64
	err := tx.QueryRow(`SELECT 1 FROM ticket WHERE id = $1 AND used_at IS NOT NULL`, t.ID).Scan(&one)
	if errors.Is(err, db.ErrNoRows) {
		return ErrLink
	}
	if err != nil {
		return err
	}
	return ErrLink.Because(ErrUsed)
}

// Void makes all tickets of an account void but the ways back to an earlier
// address and from factors, which are the owner's if somebody else has the account.
func Void(tx *db.Tx, account string) error {
	_, err := tx.Exec(`DELETE FROM ticket WHERE account_id = $1 AND purpose <> 'undo' AND used_at IS NULL
		AND purpose <> 'undo_factor' AND purpose <> 'stop_reset'`, account)
	return err
}

// VoidSent makes void what was sent to an address that is the account's no more,
// save "this wasn't me" and the ways back.
func VoidSent(tx *db.Tx, account string) error {
	_, err := tx.Exec(`DELETE FROM ticket WHERE account_id = $1 AND purpose <> 'undo' AND purpose <> 'not_me' AND used_at IS NULL
		AND purpose <> 'undo_factor' AND purpose <> 'stop_reset'`, account)
	return err
}

// VoidAll makes all tickets of an account void, whatever they are for.
func VoidAll(tx *db.Tx, account string) error {
	_, err := tx.Exec(`DELETE FROM ticket WHERE account_id = $1`, account)
	return err
}

// Living counts the links of an account that still work.
func Living(tx *db.Tx, account string, now time.Time) (n int64, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM ticket WHERE account_id = $1 AND used_at IS NULL AND expires_at > $2`, account, db.Micros(now)).Scan(&n)
	return n, err
}

// Forget deletes tickets that expired before a time.
func Forget(tx *db.Tx, b db.Batch) (db.Swept, error) {
	s, err := b.Read(tx.Query(`SELECT expires_at, id, 1, expires_at FROM ticket
		WHERE (expires_at, id) > ($1, $2) AND expires_at < $3 ORDER BY expires_at, id LIMIT $4`,
		b.After.At, b.After.ID, b.Before, b.Keys))
	if err == nil && b.Deletes(s) {
		s.Due, err = tx.Exec(`DELETE FROM ticket WHERE (expires_at, id) > ($1, $2) AND (expires_at, id) <= ($4, $5) AND expires_at < $3`,
			b.After.At, b.After.ID, b.Before, s.Last.At, s.Last.ID)
	}
	return s, err
}

func scan(row interface{ Scan(...any) error }, t *Ticket, more ...any) error {
	var holds, until int64
	err := row.Scan(append([]any{
		&t.ID, (*string)(&t.Purpose), &t.Account, &t.Address, &t.AddressKey, &t.PasswordN, &t.OldHash, &t.Seq, &holds, &until,
	}, more...)...)
	t.Holds, t.Until = holds != 0, db.Time(until)
	return err
}
