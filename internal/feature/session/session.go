// Package session is sessions and their rotating refresh tokens.
//
// A session is one row. It begins with a sign-in and ends by sign-out, by
// revocation, when it is unused for Config.Idle, when it is Config.Max old, or
// when a refresh token is used that was already replaced: see [Store.Rotate].
// What an access token says about the account is in the row too, and
// code that changes it writes it there, so that a refresh reads one row.
//
// # How it works
//
// A token is epoch, session, generation, a 256-bit secret and
// a MAC. The successor's secret is derived (HKDF) from a key of the keyring and the
// row's random salt; the row stores hashes of the current token and of the previous one.
// One UPDATE decides who came first. The predecessor gets the very same successor for 10
// s, then for a day a fresh one while the first is unused; anything else ends the
// session. A retry in the very microsecond of the rotation is named rotated in its
// event; nothing else distinguishes them. mutant_test.go breaks the rules one by one
// and makes sure that the tests notice. From outside the same rules are a model in
// crashtest/model_test.go, against which porcupine checks what 32 clients were told
// while the server, or PostgreSQL, is killed; a call whose response was lost may have
// happened, or not, or later. The build tag brokencas builds a server whose compare-and-
// set is broken, which the test must detect. The statement is in rotate.go, the model in
// model_test.go.
package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/rotation"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Config is the lives of sessions and the two graces of their refresh tokens.
type Config struct {
	// Idle is how long a session lives unused; Max how long it lives at all.
	Idle, Max time.Duration
	// Grace is how long after a rotation the replaced token still gets the very
	// same successor: racing tabs and answers lost on the way. Zero turns it off.
	Grace time.Duration
	// PerAccount is how many sessions an account may have: one more ends the one
	// that was unused for longest.
	PerAccount int
	// Retry is how long after a rotation the replaced token still gets a fresh
	// successor, as long as the first one is unused: answers lost for longer.
	// Zero turns it off.
	Retry time.Duration
}

// Store keeps sessions.
type Store struct {
	config Config
	keys   atomic.Pointer[Keys]
	epoch  uint32
	random secret.Random
}

// NewStore returns a store whose tokens are of the given epoch: the count of
// restores from a backup, of which those from before are refused.
func NewStore(c Config, k Keys, epoch uint32, random secret.Random) *Store {
	s := &Store{config: c, epoch: epoch, random: random}
	s.Use(k)
	return s
}

// Use has the store make and take refresh tokens under other keys from now on.
// Those from before are forged by them.
func (s *Store) Use(k Keys) { s.keys.Store(&k) }

// Why a session ended.
const (
	WhyLogout   = "logout"
	WhyRevoked  = "revoked"
	WhyDisabled = "disabled"
	WhyReuse    = rotation.WhyReuse
	WhyAhead    = rotation.WhyAhead
	WhyTooMany  = "too_many_sessions"
)

// ErrNotFound is for a session that does not exist, has ended, or is another
// account's.
var ErrNotFound = fault.New(fault.NotFound, "session_not_found", "There is no such session. It may have ended already.")

// Start is what a new session begins with.
type Start struct {
	Account   string
	Roles     []string
	AMR       []string // authentication methods (RFC 8176)
	UserAgent string
	Address   string
	// Device and Network are the two as people distinguish them: see [Known].
	Device, Network string
	// SID is what applications call the session that this one replaces: see [Replace]; empty for a session of its own.
	SID string
	// AuthAt is when the person showed who they are, where that was before; zero for now.
	AuthAt time.Time
}

// Grant is what a sign-in or a refresh gives to a client, short of the access
// token.
type Grant struct {
	Session string
	Account string
	Roles   []string
	AMR     []string
	AuthAt  time.Time
	// Refresh is the refresh token, RefreshUntil when it expires if unused.
	Refresh      string
	RefreshUntil time.Time
	// SessionUntil is the session's absolute end.
	SessionUntil time.Time
	Generation   uint32
	// LastAddress is where a session was last used before this refresh.
	LastAddress string
}

// Columns are the columns of a session's row that [Store.Make] fills.
var Columns = []string{"id", "account_id", "roles", "amr", "user_agent", "address", "auth_at", "max_at", "idle_at",
	"gen", "cur", "salt", "minted_at", "rotated_at", "device", "network", "sid"}

// Begin starts a session in the transaction; the statement is deferred.
func (s *Store) Begin(tx *db.Tx, b Start, now time.Time) Grant {
	grant, row := s.Make(b, now)
	tx.Defer(`INSERT INTO session (id, account_id, roles, amr, user_agent, address, auth_at, max_at, idle_at, gen, cur, salt, minted_at, rotated_at,
		device, network, sid)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`, row...)
	return grant
}

// Make returns a session that stands nowhere yet, and its row in the order of
// Columns: for Begin, and for generators that fill a database with many.
func (s *Store) Make(b Start, now time.Time) (Grant, []any) {
	sid := uuid.MustParse(s.random.ID(now))
	salt := s.random.Bytes(rotation.SaltSize)
	keys := *s.keys.Load()
	t := rotation.Derived(keys, rotation.Session, s.epoch, sid, 1, salt)
	maxAt := now.Add(s.config.Max)
	idleAt := earlier(now.Add(s.config.Idle), maxAt)
	at, authAt := db.Micros(now), now
	if !b.AuthAt.IsZero() {
		authAt = earlier(b.AuthAt, now)
	}
	grant := Grant{
		Session: sid.String(), Account: b.Account, Roles: b.Roles, AMR: b.AMR, AuthAt: authAt,
		Refresh: t.Encode(keys), RefreshUntil: idleAt, SessionUntil: maxAt, Generation: t.Generation,
	}
	return grant, []any{sid.String(), b.Account, encodeList(b.Roles), encodeList(b.AMR), b.UserAgent, b.Address,
		db.Micros(authAt), db.Micros(maxAt), db.Micros(idleAt), int64(t.Generation), t.Hash(), salt, at, at, b.Device, b.Network, b.SID}
}

// EndOldest ends the live sessions of an account beyond those that it may have,
// with room for a new one, the longest unused first, and returns their ids. The caller
// holds the account's row.
func (s *Store) EndOldest(tx *db.Tx, account string, now time.Time) ([]string, error) {
	return db.Strings(tx.Query(`UPDATE session SET ended_at = $2, ended_why = $3 WHERE id IN (
		SELECT id FROM session WHERE account_id = $1 AND ended_at IS NULL AND idle_at > $2 AND max_at > $2
		ORDER BY minted_at DESC, id DESC LIMIT 1000 OFFSET $4) RETURNING id`,
		account, db.Micros(now), WhyTooMany, s.config.PerAccount-1))
}

// End ends one session and returns its account, or ErrNotFound if it was not
// alive. If account is not empty the session must be its.
func End(tx *db.Tx, id, account, why string, now time.Time) (string, error) {
	var of string
	err := tx.QueryRow(`UPDATE session SET ended_at = $2, ended_why = $3
		WHERE id = $1 AND ended_at IS NULL AND idle_at > $2 AND max_at > $2 AND ($4 = '' OR account_id = $4)
		RETURNING account_id`, id, db.Micros(now), why, account).Scan(&of)
	if errors.Is(err, db.ErrNoRows) {
		return "", ErrNotFound
	}
	return of, err
}

// HasEnded reports whether a session was ended. One whose time is over was not: to
// another clock it may live.
func HasEnded(tx *db.Tx, id string) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT COUNT(*) FROM session WHERE id = $1 AND ended_at IS NOT NULL`, id).Scan(&n)
	return n > 0, err
}

// EndAll ends the living sessions of an account, save the one with the id keep
// if that is not empty, and returns the ids of those that it ended.
func EndAll(tx *db.Tx, account, keep, why string, now time.Time) ([]string, error) {
	return db.Strings(tx.Query(`UPDATE session SET ended_at = $2, ended_why = $3
		WHERE account_id = $1 AND ended_at IS NULL AND idle_at > $2 AND max_at > $2 AND id <> $4
		RETURNING id`, account, db.Micros(now), why, keep))
}

// SetRoles writes an account's new roles to its living sessions, and returns
// how many they are.
func SetRoles(tx *db.Tx, account string, roles []string) (int64, error) {
	return tx.Exec(`UPDATE session SET roles = $2 WHERE account_id = $1 AND ended_at IS NULL`, account, encodeList(roles))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func encodeList(l []string) string {
	if l == nil {
		l = []string{}
	}
	b, err := json.Marshal(l)
	if err != nil {
		panic(fmt.Sprintf("session: list: %v", err)) // strings can be encoded
	}
	return string(b)
}

func decodeList(s string) ([]string, error) {
	var l []string
	if err := json.Unmarshal([]byte(s), &l); err != nil {
		return nil, fmt.Errorf("a list in the session's row is no JSON: %w", err)
	}
	if l == nil {
		return nil, errors.New("a list in the session's row is null")
	}
	return l, nil
}
