package ticket

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

const (
	// alphabet has no two characters that are taken for one another: 40 bits in
	// eight of them.
	alphabet = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
	codeSize = 8
	// CodeLife is how long a code works.
	CodeLife = 10 * time.Minute
	// codeTries is how many tries a code has, dayTries how many an address has within
	// a day.
	codeTries = 5
	dayTries  = 20
	day       = 24 * time.Hour
	// requestSize is how many bytes a request has; RequestsMost how many of them count
	// with one try.
	requestSize  = 16
	RequestsMost = 4
)

// The faults of codes.
var (
	ErrCode = fault.New(fault.Invalid, "invalid_code",
		"This code does not work, or no longer works: it is valid for ten minutes and a few attempts, and only where its mail was requested. "+
			"The link in the mail is valid longer, and anywhere, or you can ask for a new mail.")
	ErrCodeTries = fault.New(fault.Limited, "too_many_codes",
		"Too many codes were tried for this address today. The link in the mail still works.")
)

func newCode(r secret.Random) string {
	b := r.Bytes(codeSize)
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)] // 32 divides 256: all are equally likely
	}
	return string(b)
}

// ParseCode returns a code as it was sent, however it was typed: in lower case,
// with spaces or dashes. It is empty for what can be none.
func ParseCode(typed string) string {
	var b strings.Builder
	for _, r := range strings.ToUpper(typed) {
		switch {
		case r == ' ' || r == '-' || r == '\u00a0' || r == '\u2010' || r == '\u2011':
		case r < 0x80 && strings.ContainsRune(alphabet, r):
			b.WriteRune(r)
		default:
			return ""
		}
		if b.Len() > codeSize {
			return ""
		}
	}
	if b.Len() != codeSize {
		return ""
	}
	return b.String()
}

func (s *Store) codeHash(p Purpose, addressKey, code string) []byte {
	return secret.MAC(s.key(), []byte("ticket/code"), []byte(p), []byte(addressKey), []byte(code))
}

// Try takes a try at the code that was sent to an address for one of two
// purposes, and returns the ticket if it is right, and was sent for one of the first
// [RequestsMost] requests. Codes of other requests lose no try by it. What it returns else, ErrCode or
// ErrCodeTries, is a value and no failure: the transaction must be committed, since
// the try counts. A right one that was used before is an ErrCode too, whose cause is
// ErrUsed. It does the same for an address to which nothing was sent.
func (s *Store) Try(tx *db.Tx, addressKey, code string, requests []string, now time.Time, p, or Purpose) (t Ticket, refused *fault.Error, err error) {
	if refused, err = s.count(tx, addressKey, now); err != nil || refused != nil {
		return Ticket{}, refused, err
	}
	var asked [RequestsMost][]byte
	for i := range min(len(requests), RequestsMost) {
		asked[i] = requestHash(requests[i])
	}
	rows, err := tx.Query(`UPDATE ticket SET tries = tries + 1
		WHERE address_key = $1 AND (purpose = $2 OR purpose = $3) AND code IS NOT NULL AND code_until > $4 AND tries < $5
			AND (request = $6 OR request = $7 OR request = $8 OR request = $9)
		RETURNING id, purpose, account_id, address, address_key, password_n, old_hash, seq, holds, expires_at, code, used_at`,
		addressKey, string(p), string(or), db.Micros(now), codeTries, asked[0], asked[1], asked[2], asked[3])
	if err != nil {
		return Ticket{}, nil, err
	}
	defer rows.Close()
	refused = ErrCode
	for rows.Next() {
		var (
			one    Ticket
			stored []byte
			used   *int64
		)
		if err := scan(rows, &one, &stored, &used); err != nil {
			return Ticket{}, nil, err
		}
		if code != "" && secret.Equal(stored, s.codeHash(one.Purpose, addressKey, code)) {
			if t, refused = one, nil; used != nil {
				refused = ErrCode.Because(ErrUsed)
			}
		}
	}
	return t, refused, rows.Err()
}

// count takes one of the address's tries of the day.
func (s *Store) count(tx *db.Tx, addressKey string, now time.Time) (*fault.Error, error) {
	k := s.triesKey(addressKey)
	var since int64
	err := tx.QueryRow(`INSERT INTO code_try (k, n, since) VALUES ($1, 1, $2)
		ON CONFLICT (k) DO UPDATE SET n = CASE WHEN code_try.since <= $3 THEN 1 ELSE code_try.n + 1 END,
			since = CASE WHEN code_try.since <= $3 THEN excluded.since ELSE code_try.since END
		WHERE code_try.n < $4 OR code_try.since <= $3 RETURNING since`,
		k, db.Micros(now), db.Micros(now.Add(-day)), dayTries).Scan(&since)
	if !errors.Is(err, db.ErrNoRows) {
		return nil, err
	}
	limited := *ErrCodeTries
	limited.RetryAfter = time.Hour // some of the day is over; nobody needs to ask more often
	return &limited, nil
}

// triesKey is what an address's tries are counted under.
func (s *Store) triesKey(addressKey string) string {
	return base64.RawURLEncoding.EncodeToString(secret.MAC(s.key(), []byte("ticket/tries"), []byte(addressKey))[:18])
}

// ForgetTries deletes counts of tries that began before a time.
func ForgetTries(tx *db.Tx, b db.Batch) (db.Swept, error) {
	s, err := b.Read(tx.Query(`SELECT since, k, 1, since FROM code_try WHERE (since, k) > ($1, $2) AND since < $3 ORDER BY since, k LIMIT $4`,
		b.After.At, b.After.ID, b.Before, b.Keys))
	if err == nil && b.Deletes(s) {
		s.Due, err = tx.Exec(`DELETE FROM code_try WHERE (since, k) > ($1, $2) AND (since, k) <= ($4, $5) AND since < $3`,
			b.After.At, b.After.ID, b.Before, s.Last.At, s.Last.ID)
	}
	return s, err
}
