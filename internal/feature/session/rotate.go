package session

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/rotation"
)

// Turn is how the use of a refresh token ended: see package rotation.
type Turn = rotation.Turn

// The turns.
const (
	Rotated    = rotation.Rotated
	Raced      = rotation.Raced
	Retried    = rotation.Retried
	Reused     = rotation.Reused
	Ahead      = rotation.Ahead
	Refused    = rotation.Refused
	Forged     = rotation.Forged
	Outdated   = rotation.Outdated
	FromCookie = rotation.FromCookie
)

// TokenPrefix begins every refresh token.
const TokenPrefix = rotation.TokenPrefix

// Keys are the two ring keys of refresh tokens.
type Keys = rotation.Keys

// Presented is a refresh token that a client has sent and whose MAC is right.
type Presented struct {
	token rotation.Token
	keys  Keys // under which it was right, and its successor is made
}

// SessionID names the session that the token is of.
func (p Presented) SessionID() string { return p.token.Of.String() }

// Generation is the number of the token in its session, from 1.
func (p Presented) Generation() uint32 { return p.token.Generation }

// FromCookie reports whether the token was given to a browser as a cookie: see [Store.ForCookie].
func (p Presented) FromCookie() bool { return p.token.Kind == rotation.Cookie }

// Key names the token itself in the memory of a replica: of two tokens, or of one that was
// written in two ways, none has the other's.
func (p Presented) Key() [32]byte { return [32]byte(p.token.Hash()) }

// ForCookie returns a refresh token of ours as it is in a cookie. Its successor is
// the same one, whichever of the two is used; but what was a cookie counts only as one, so
// that whatever sees a browser's cookies can't take the session along (ASVS 10.1.1).
func (s *Store) ForCookie(token string) string {
	keys := *s.keys.Load()
	t, ok := rotation.Parse(keys, token, kinds...)
	if !ok {
		return token
	}
	t.Kind = rotation.Cookie
	return t.Encode(keys)
}

// Idle is how long a session lives unused.
func (s *Store) Idle() time.Duration { return s.config.Idle }

// kinds are those of a session's tokens: in a body, and in a cookie.
var kinds = []rotation.Kind{rotation.Session, rotation.Cookie}

// Present checks a token's form, MAC and epoch, which needs no database. The
// turn is Forged or Outdated if they are wrong, else empty.
func (s *Store) Present(token string) (Presented, Turn) {
	keys := *s.keys.Load()
	t, turn := rotation.Present(keys, token, s.epoch, kinds...)
	if turn != "" {
		return Presented{token: t}, turn
	}
	return Presented{token: t, keys: keys}, ""
}

// RotateSQL is the one statement for a client that comes first, at the same time,
// comes again after a lost answer, or comes with a stolen token. It touches no
// index but the primary key.
//
// It is exported for the benchmark that gives the same to pgbench.
//
// $1 id $2 presented hash $3 candidate hash $4 candidate salt $5 presented
// generation $6 now $7 now-grace $8 now-retry $9 now+idle
const RotateSQL = `UPDATE session SET
	gen        = CASE WHEN cur = $2 THEN gen + 1 ELSE gen END,
	prev       = CASE WHEN cur = $2 THEN cur ELSE prev END,
	rotated_at = CASE WHEN cur = $2 THEN $6 ELSE rotated_at END,
	cur        = CASE WHEN cur = $2 OR (prev = $2 AND minted_at <= $7) THEN $3 ELSE cur END,
	salt       = CASE WHEN cur = $2 OR (prev = $2 AND minted_at <= $7) THEN $4 ELSE salt END,
	minted_at  = CASE WHEN cur = $2 OR (prev = $2 AND minted_at <= $7) THEN $6 ELSE minted_at END,
	idle_at    = CASE WHEN cur = $2 OR (prev = $2 AND minted_at <= $7) THEN $9 ELSE idle_at END,
	ended_at   = CASE WHEN cur = $2 OR (prev = $2 AND (minted_at > $7 OR rotated_at > $8)) THEN NULL ELSE $6 END,
	ended_why  = CASE WHEN cur = $2 OR (prev = $2 AND (minted_at > $7 OR rotated_at > $8)) THEN NULL WHEN $5 > gen THEN 'ahead' ELSE 'reuse' END
WHERE id = $1 AND ended_at IS NULL AND idle_at > $6 AND max_at > $6
RETURNING account_id, roles, amr, auth_at, max_at, idle_at, gen, cur, salt, rotated_at, ended_why,
	CASE WHEN last_address = '' THEN address ELSE last_address END`

// Rotate uses a refresh token. With Rotated, Raced and Retried the grant is
// good; with Reused and Ahead the session has been ended, which must be
// committed although the client is refused, and the grant says whose it was.
func (s *Store) Rotate(tx *db.Tx, p Presented, now time.Time) (Grant, Turn, error) {
	old := p.token
	salt := s.random.Bytes(rotation.SaltSize)
	candidate := rotation.Derived(p.keys, rotation.Session, s.epoch, old.Of, old.Generation+1, salt)
	at := db.Micros(now)
	var row rotated
	err := tx.QueryRow(inForce, old.Of.String(), old.Hash(), candidate.Hash(), salt, int64(old.Generation),
		at, db.Micros(now.Add(-s.config.Grace)), db.Micros(now.Add(-s.config.Retry)), db.Micros(now.Add(s.config.Idle))).
		Scan(&row.account, &row.roles, &row.amr, &row.authAt, &row.maxAt, &row.idleAt, &row.gen, &row.Cur, &row.Salt, &row.RotatedAt, &row.EndedWhy, &row.address)
	if errors.Is(err, db.ErrNoRows) {
		return Grant{}, Refused, nil
	}
	if err != nil {
		return Grant{}, "", err
	}
	g, err := row.grant(old.Of)
	if err != nil {
		return Grant{}, "", err
	}
	row.Generation = g.Generation
	next, turn, err := rotation.Settle(p.keys, candidate, row.Settled, at)
	if err != nil {
		return Grant{}, "", fmt.Errorf("session %s: %w", g.Session, err)
	}
	if turn.Good() {
		g.Refresh = next.Encode(p.keys)
	}
	return g, turn, nil
}

// rotated is the row as the statement returns it.
type rotated struct {
	rotation.Settled
	account, roles, amr, address string
	authAt, maxAt, idleAt, gen   int64
}

func (r rotated) grant(session uuid.UUID) (Grant, error) {
	roles, err := decodeList(r.roles)
	if err != nil {
		return Grant{}, err
	}
	amr, err := decodeList(r.amr)
	if err != nil {
		return Grant{}, err
	}
	return Grant{
		Session: session.String(), Account: r.account, Roles: roles, AMR: amr, AuthAt: db.Time(r.authAt), LastAddress: r.address,
		RefreshUntil: earlier(db.Time(r.idleAt), db.Time(r.maxAt)), SessionUntil: db.Time(r.maxAt), Generation: uint32(r.gen), //nolint:gosec // counts rotations
	}, nil
}
