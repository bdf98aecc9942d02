package session

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Turn is how the use of a refresh token ended.
type Turn string

// The turns. Rotated, Raced and Retried come with a new token; after Reused and
// Ahead the session has ended; Refused touched nothing.
const (
	// Rotated: the current token was used, and replaced.
	Rotated Turn = "rotated"
	// Raced: the token before it was used within the grace, and got the very same
	// successor as whoever came first.
	Raced Turn = "raced"
	// Retried: the token before it was used while its successor was unused, and
	// got a fresh one; the unused one is dead.
	Retried Turn = "retried"
	// Reused: an older token was used, so two parties hold this session.
	Reused Turn = "reused"
	// Ahead: the token is newer than the row, so the database went back in time.
	Ahead Turn = "ahead"
	// Refused: the session has ended, or never was.
	Refused Turn = "refused"
	// Forged: the token is not ours. The database was not asked.
	Forged Turn = "forged"
	// Outdated: the token is from before a restore of the database.
	Outdated Turn = "outdated"
	// FromCookie: the token was given to a browser as a cookie, and came in a body. Nothing
	// was touched.
	FromCookie Turn = "from_cookie"
)

// Presented is a refresh token that a client has sent and whose MAC is right.
type Presented struct {
	token refreshToken
	keys  Keys // under which it was right, and its successor is made
}

// SessionID names the session that the token is of.
func (p Presented) SessionID() string { return p.token.session.String() }

// Generation is the number of the token in its session, from 1.
func (p Presented) Generation() uint32 { return p.token.generation }

// FromCookie reports whether the token was given to a browser as a cookie: see [Store.ForCookie].
func (p Presented) FromCookie() bool { return p.token.cookie }

// Key names the token itself in the memory of a replica: of two tokens, or of one that was
// written in two ways, none has the other's.
func (p Presented) Key() [32]byte { return [32]byte(p.token.hash()) }

// ForCookie returns a refresh token of ours as it stands in a cookie. Its successor is
// the same one, whichever of the two is used; but what was a cookie counts only as one, so
// that whatever sees a browser's cookies can't take the session along (ASVS 10.1.1).
func (s *Store) ForCookie(token string) string {
	keys := *s.keys.Load()
	t, ok := parseToken(keys, token)
	if !ok {
		return token
	}
	t.cookie = true
	return t.encode(keys)
}

// Idle is how long a session lives unused.
func (s *Store) Idle() time.Duration { return s.config.Idle }

// Present checks a token's form, MAC and epoch, which needs no database. The
// turn is Forged or Outdated if they are wrong, else empty.
func (s *Store) Present(token string) (Presented, Turn) {
	keys := *s.keys.Load()
	t, ok := parseToken(keys, token)
	if !ok {
		return Presented{}, Forged
	}
	if t.epoch != s.epoch {
		return Presented{token: t}, Outdated
	}
	return Presented{token: t, keys: keys}, ""
}

// RotateSQL is the one statement for whoever comes first, comes at the same time,
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
RETURNING account_id, roles, amr, auth_at, max_at, idle_at, gen, cur, salt, rotated_at, ended_why`

// Rotate uses a refresh token. With Rotated, Raced and Retried the grant is
// good; with Reused and Ahead the session has been ended, which must be
// committed although the client is refused, and the grant tells whose it was.
func (s *Store) Rotate(tx *db.Tx, p Presented, now time.Time) (Grant, Turn, error) {
	old := p.token
	salt := s.random.Bytes(saltSize)
	candidate := derived(p.keys, s.epoch, old.session, old.generation+1, salt)
	candidateHash := candidate.hash()
	at := db.Micros(now)
	var row rotated
	err := tx.QueryRow(inForce, old.session.String(), old.hash(), candidateHash, salt, int64(old.generation),
		at, db.Micros(now.Add(-s.config.Grace)), db.Micros(now.Add(-s.config.Retry)), db.Micros(now.Add(s.config.Idle))).
		Scan(&row.account, &row.roles, &row.amr, &row.authAt, &row.maxAt, &row.idleAt, &row.gen, &row.cur, &row.salt, &row.rotatedAt, &row.endedWhy)
	if errors.Is(err, db.ErrNoRows) {
		return Grant{}, Refused, nil
	}
	if err != nil {
		return Grant{}, "", err
	}
	g, err := row.grant(old.session)
	if err != nil {
		return Grant{}, "", err
	}
	if row.endedWhy != nil {
		if *row.endedWhy == WhyAhead {
			return g, Ahead, nil
		}
		return g, Reused, nil
	}
	turn, next := Raced, candidate
	switch {
	case !secret.Equal(row.cur, candidateHash):
		next = derived(p.keys, s.epoch, old.session, g.Generation, row.salt)
		if !secret.Equal(row.cur, next.hash()) {
			return Grant{}, "", fmt.Errorf("session %s: the current refresh token can't be derived again", g.Session)
		}
	case row.rotatedAt == at:
		turn = Rotated
	default:
		turn = Retried
	}
	g.Refresh = next.encode(p.keys)
	return g, turn, nil
}

// rotated is the row as the statement returns it.
type rotated struct {
	account, roles, amr              string
	authAt, maxAt, idleAt, rotatedAt int64
	gen                              int64
	cur, salt                        []byte
	endedWhy                         *string
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
		Session: session.String(), Account: r.account, Roles: roles, AMR: amr, AuthAt: db.Time(r.authAt),
		RefreshUntil: earlier(db.Time(r.idleAt), db.Time(r.maxAt)), SessionUntil: db.Time(r.maxAt), Generation: uint32(r.gen), //nolint:gosec // counts rotations
	}, nil
}
