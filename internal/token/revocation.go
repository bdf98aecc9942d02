package token

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/db"
)

// Revocations is what ends access tokens before their time: sessions that have
// ended, and accounts whose roles have changed. Access tokens live minutes, so
// those that matter are few, and every replica holds them in memory: to check a
// token asks nobody.
//
// It names sessions, and roles, rather than times: so it needs no two clocks to
// agree. A session's end ends all its tokens; a change of roles ends the tokens
// that carry others than the account has now.
type Revocations struct {
	db    *db.DB
	keep  time.Duration // how long a token that was issued just now can be good
	stale time.Duration // how long to go on when the database can't be asked
	now   func() time.Time

	mu       sync.RWMutex
	sessions map[string]int64 // until when to remember it, in microseconds
	roles    map[string]rolesNow

	signals   signals
	freshness freshness
	asking    chan struct{} // room for those who ask the database
}

// rolesNow is the only roles that an account's tokens may carry.
type rolesNow struct {
	roles []string
	n     int64 // of two changes the one with the higher number is the later
	until int64
}

// leeway is what is added to a token's life, for clocks that differ.
const leeway = 2 * time.Minute

// NewRevocations returns a set that knows nothing yet: see [Revocations.Run].
// life is how long access tokens live. stale is for how long tokens are taken
// on the memory's word when the database can't be asked: zero is the safe
// value.
func NewRevocations(d *db.DB, life, stale time.Duration, now func() time.Time) *Revocations {
	return &Revocations{
		db: d, keep: max(life, 30*time.Minute) + leeway, stale: stale, now: now,
		sessions: map[string]int64{}, roles: map[string]rolesNow{}, asking: make(chan struct{}, askers),
	}
}

// The kinds of rows.
const (
	kindSession = "session"
	kindRoles   = "roles"
)

// EndSession ends the access tokens of a session that ends in this transaction.
// This replica knows once it is committed, the others within a second.
func (r *Revocations) EndSession(tx *db.Tx, id string) {
	row := revocation{kind: kindSession, subject: id, until: db.Micros(r.now().Add(r.keep))}
	r.insert(tx, row, "[]")
}

// ChangeRoles ends the access tokens of an account that carry other roles than
// it is given in this transaction, which is the nth time that they change.
func (r *Revocations) ChangeRoles(tx *db.Tx, account string, roles []string, n int64) error {
	list, err := json.Marshal(append([]string{}, roles...))
	if err != nil {
		return err
	}
	row := revocation{kind: kindRoles, subject: account, roles: roles, n: n, until: db.Micros(r.now().Add(r.keep))}
	r.insert(tx, row, string(list))
	return nil
}

func (r *Revocations) insert(tx *db.Tx, row revocation, roles string) {
	tx.Defer(`INSERT INTO revocation (kind, subject, roles, n, expires_at) VALUES ($1, $2, $3, $4, $5)`,
		row.kind, row.subject, roles, row.n, row.until)
	tx.OnCommit(func() { r.apply([]revocation{row}) })
}

// revocation is one row.
type revocation struct {
	kind, subject string
	roles         []string
	n             int64
	until         int64
}

// apply adds rows; to add one twice, or an older one after a younger, changes
// nothing.
func (r *Revocations) apply(rows []revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, row := range rows {
		switch row.kind {
		case kindSession:
			r.sessions[row.subject] = max(row.until, r.sessions[row.subject])
		case kindClients:
			r.signals.hear(row.subject, row.until)
		case kindRoles:
			if known, ok := r.roles[row.subject]; !ok || row.n > known.n {
				r.roles[row.subject] = rolesNow{roles: row.roles, n: row.n, until: row.until}
			}
		}
	}
}

// dead reports whether what is known here ends the token.
func (r *Revocations) dead(c *Claims) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if _, ended := r.sessions[c.Session]; ended {
		return true
	}
	is, changed := r.roles[c.Subject]
	return changed && !slices.Equal(is.roles, c.Roles)
}

// forget drops what can't matter any more.
func (r *Revocations) forget(now time.Time) {
	at := db.Micros(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, until := range r.sessions {
		if until <= at {
			delete(r.sessions, id)
		}
	}
	r.signals.forget(now)
	for id, is := range r.roles {
		if is.until <= at {
			delete(r.roles, id)
		}
	}
}

// Live is how many revocations are remembered.
func (r *Revocations) Live() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.sessions) + len(r.roles)
}

// read returns the rows of a query on the columns kind, subject, roles, n and
// expires_at.
func read(rows *db.Rows, err error) ([]revocation, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []revocation
	for rows.Next() {
		var (
			row   revocation
			roles string
		)
		if err := rows.Scan(&row.kind, &row.subject, &roles, &row.n, &row.until); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(roles), &row.roles); err != nil {
			return nil, fmt.Errorf("the roles of a revocation are no JSON list: %w", err)
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// keepRows is how much longer a row is kept than it can matter, for a clock that
// was set forward and is set back again.
const keepRows = 2 * time.Hour

// Forget deletes up to limit rows that can't matter any more, and returns how
// many it deleted.
func Forget(tx *db.Tx, now time.Time, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM revocation WHERE tx IN (
		SELECT tx FROM revocation WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2) AND expires_at <= $1`,
		db.Micros(now.Add(-keepRows)), limit)
}
