// Package grant is what people have allowed applications: codes, the grants that these become, with rotating refresh tokens, and
// consents (RFC 6749, OpenID Connect Core).
//
// A session is a person in a browser. A grant is what one sign-in at one application gave that: a row of its own, so that two
// tabs of one application, each with a code, do not look like a theft of one chain of tokens. A code is a grant that has not
// started. The row is written when the code is given, by somebody who is signed in: strangers write nothing.
//
// # How it works
//
// A code names its row and has a MAC, so a made-up one costs no look at the database. One UPDATE exchanges it: client,
// redirect URI and PKCE stand in its WHERE, so whoever finds a code in a log can neither use it nor, by trying, end the grant.
// Of two who exchange it rightly the second ends the grant with all its tokens (RFC 6749 section 4.1.2). Refresh tokens rotate by
// the rules of a session's (package session), and have another kind of MAC.
//
// A grant ends with its session, unless it is offline (scope offline_access): whoever ends sessions does it in the same
// transaction (flow.EndSession). A code that was given is never offline before it is exchanged. Locks are taken in
// the order account, session, grant, notice.
//
// Who ends a session also queues a notice for each application that it was signed in to (signedin.go), whatever that has left of it:
// the row that says so is written with the code, and deleted by whoever queues the notice, so each is told once. Notices are delivered by
// whichever replica takes one by a compare-and-set on when it is due (notice.go, flow/openid).
package grant

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/rotation"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Config is the lives of grants, and the graces of their refresh tokens.
type Config struct {
	// Idle is how long a grant lives unused beside its session. OfflineIdle and OfflineMax are for those that outlive it.
	Idle, OfflineIdle, OfflineMax time.Duration
	// Grace and Retry are as those of sessions.
	Grace, Retry time.Duration
}

const (
	// CodeLife is how long a code can be exchanged.
	CodeLife = time.Minute
	// PerClient is how many living grants an account has at one application: one more ends the oldest.
	PerClient = 50
	// PerMinute is how many codes one session gets for one application in a minute: more is an application in a loop.
	PerMinute = 20
)

// Store keeps grants.
type Store struct {
	config Config
	keys   atomic.Pointer[rotation.Keys]
	code   func() []byte // the key of codes
	epoch  uint32
	random secret.Random
}

// NewStore returns a store. code returns the key that authenticates codes; epoch is as for sessions.
func NewStore(c Config, k rotation.Keys, code func() []byte, epoch uint32, random secret.Random) *Store {
	s := &Store{config: c, code: code, epoch: epoch, random: random}
	s.Use(k)
	return s
}

// Use has the store make and take refresh tokens under other keys from now on.
func (s *Store) Use(k rotation.Keys) { s.keys.Store(&k) }

// OfflineMax is how long a grant lives at the most that outlives its session.
func (s *Store) OfflineMax() time.Duration { return s.config.OfflineMax }

// Why a grant ended.
const (
	WhySession   = "session"
	WhyCodeReuse = "code_reuse"
	WhyRevoked   = "revoked"
	WhyWithdrawn = "withdrawn"
	WhyTooMany   = "too_many_grants"
)

// Asked is what an application asks for, as far as a grant keeps it.
type Asked struct {
	Client, Redirect string
	// Scope are words between spaces: see [Scopes], and those of the resources. Resource are the URIs of the resources that tokens
	// may be for, between spaces.
	Scope, Resource string
	// Challenge is that of PKCE (S256); empty without.
	Challenge, Nonce string
	// Offline has the grant outlive the session.
	Offline bool
}

// Holder is the session that a code is given under. Its row is held until the end of the transaction.
type Holder struct {
	Account string
	// SID is what applications call the session.
	SID           string
	Roles, AMR    []string
	AuthAt, MaxAt time.Time
	// Until is when its time runs out if it is not used again.
	Until time.Time
}

// ErrLoop is for an application that asks for codes faster than any person signs in.
var ErrLoop = errors.New("too many codes in a minute")

// Give writes a code for an application, and returns it with the ids of older grants that it ended for being too many.
func (s *Store) Give(tx *db.Tx, a Asked, h Holder, now time.Time) (code string, ended []string, err error) {
	var lately int64
	if err := tx.QueryRow(`SELECT COUNT(*) FROM client_grant WHERE sid = $1 AND client_id = $2 AND created_at > $3`,
		h.SID, a.Client, db.Micros(now.Add(-time.Minute))).Scan(&lately); err != nil {
		return "", nil, err
	}
	if lately >= PerMinute {
		return "", nil, ErrLoop
	}
	if ended, err = makeRoom(tx, h.Account, a.Client, now); err != nil {
		return "", nil, err
	}
	made := s.newCode(now)
	s.write(tx, a, h, made.id.String(), made.hash(), now.Add(CodeLife), now)
	signIn(tx, a.Client, h, now)
	return made.encode(s.code()), ended, nil
}

// makeRoom ends the oldest grants of an account at an application where there are as many as may live, and returns their ids.
func makeRoom(tx *db.Tx, account, client string, now time.Time) ([]string, error) {
	return db.Strings(tx.Query(`UPDATE client_grant SET ended_at = $3, ended_why = $4 WHERE id IN (
		SELECT id FROM client_grant WHERE account_id = $1 AND client_id = $2 AND ended_at IS NULL AND idle_at > $3 AND max_at > $3
		ORDER BY created_at DESC, id DESC LIMIT 1000 OFFSET $5) RETURNING id`, account, client, db.Micros(now), WhyTooMany, PerClient-1))
}

// write writes a grant that has not started: what starts it has this hash, and is good until then.
func (s *Store) write(tx *db.Tx, a Asked, h Holder, id string, hash []byte, until, now time.Time) {
	tx.Defer(`INSERT INTO client_grant (id, client_id, account_id, sid, offline, scope, resource, roles, amr, auth_at, nonce, code, code_until, redirect_uri,
		challenge, created_at, gen, minted_at, rotated_at, idle_at, max_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`, s.row(a, h, id, hash, until, now)...)
}

// Columns are those of a grant that has not started, in the order of [Store.Make].
var Columns = []string{
	"id", "client_id", "account_id", "sid", "offline", "scope", "resource", "roles", "amr", "auth_at", "nonce", "code", "code_until", "redirect_uri",
	"challenge", "created_at", "gen", "minted_at", "rotated_at", "idle_at", "max_at",
}

// Make makes a code and its row, which it does not write: for programs that fill a database.
func (s *Store) Make(a Asked, h Holder, until, now time.Time) (code string, row []any) {
	made := s.newCode(now)
	return made.encode(s.code()), s.row(a, h, made.id.String(), made.hash(), until, now)
}

func (s *Store) row(a Asked, h Holder, id string, hash []byte, until, now time.Time) []any {
	maxAt := h.MaxAt
	if a.Offline {
		maxAt = now.Add(s.config.OfflineMax)
	}
	return []any{
		id, a.Client, h.Account, h.SID, number(a.Offline), a.Scope, a.Resource, encodeList(h.Roles), encodeList(h.AMR), db.Micros(h.AuthAt), a.Nonce,
		hash, db.Micros(until), a.Redirect, a.Challenge, db.Micros(now), int64(0), int64(0), int64(0), db.Micros(until), db.Micros(maxAt),
	}
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func encodeList(l []string) string {
	b, err := json.Marshal(append([]string{}, l...))
	if err != nil {
		panic(fmt.Sprintf("grant: list: %v", err)) // strings can be encoded
	}
	return string(b)
}

func decodeList(s string) (l []string, err error) {
	if err := json.Unmarshal([]byte(s), &l); err != nil {
		return nil, fmt.Errorf("a list in a grant's row is no JSON: %w", err)
	}
	return append([]string{}, l...), nil
}
