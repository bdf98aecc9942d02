package token

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Revocations is what ends access tokens before their time: sessions that have
// ended, accounts whose roles have changed, keys that may be in the wrong hands,
// and everything that began before a moment. Access tokens live minutes, so those
// that matter are few, and every replica holds them in memory: to check a token
// makes no query.
//
// It names sessions, roles and keys, rather than times: so it needs no two
// clocks to agree. A session's end ends all its tokens; a change of roles ends
// the tokens that carry others than the account has now; a key's end ends what
// it has signed. The cut-off alone goes by time, and by that of the sign-in,
// which a session's tokens share: no refresh gets round it.
type Revocations struct {
	db    *db.DB
	keep  time.Duration // how long a token that was issued just now can be good
	stale time.Duration // how long to go on when the database can't be asked
	now   func() time.Time

	sessions endedSessions
	cutOff   atomic.Int64 // sessions that began before are dead, in microseconds
	mu       sync.RWMutex // of the maps
	roles    map[string]rolesNow
	keys     map[string]int64 // until when to remember it, in microseconds

	signals   signals
	feed      feed
	freshness freshness
	asking    chan struct{} // room for those who ask the database
	onPoll    func(tx *db.Tx) error
}

// rolesNow is the only roles that an account's tokens may carry.
type rolesNow struct {
	roles []string
	n     int64 // of two changes the one with the higher number is the later
	until int64
}

const (
	// leeway is what is added to a token's life, for clocks that differ.
	leeway = 2 * time.Minute
	// longestLife is the longest life of an access token that any replica may have
	// been set to.
	longestLife = 24 * time.Hour
	// longestSession is how long a cut-off is kept: longer than any session lives
	// that began before it.
	longestSession = 366 * 24 * time.Hour
	// cutOffMargin is added to a cut-off that means now: for clocks that differ,
	// and for sign-ins that are under way.
	cutOffMargin = 2 * time.Second
)

// NewRevocations returns a set that knows nothing yet: see [Revocations.Run].
// life is how long access tokens live. stale is for how long tokens are taken
// on the memory's word when the database can't be asked: zero is the safe
// value.
func NewRevocations(d *db.DB, life, stale time.Duration, now func() time.Time) *Revocations {
	return &Revocations{
		db: d, keep: max(life, 30*time.Minute) + leeway, stale: stale, now: now,
		sessions: endedSessions{most: mostSessions, keep: max(life, 30*time.Minute) + leeway},
		roles:    map[string]rolesNow{}, keys: map[string]int64{}, feed: feed{more: make(chan struct{})},
		asking: make(chan struct{}, askers), onPoll: func(*db.Tx) error { return nil },
	}
}

// OnPoll has every poll do this as well, on the same connection: what else a
// replica has to know within the second. Its error is the poll's. It must be
// called before [Revocations.Run].
func (r *Revocations) OnPoll(read func(tx *db.Tx) error) { r.onPoll = read }

// RevocationKind is what a revocation names.
type RevocationKind string

// The kinds.
const (
	// RevokedSession ends the tokens of the session Subject.
	RevokedSession RevocationKind = "session"
	// RevokedRoles ends the tokens of the account Subject that carry other roles
	// than Roles. Of two, the one with the higher N is in force.
	RevokedRoles RevocationKind = "roles"
	// RevokedKey ends the tokens signed by the key with the kid Subject.
	RevokedKey RevocationKind = "key"
	// RevokedBefore ends the tokens of all sessions that began before N, in
	// microseconds since 1970: those with a smaller auth_time.
	RevokedBefore RevocationKind = "before"
)

// Revocation is one thing that ends access tokens before their time. To learn of
// it twice, or of an older one after a younger, changes nothing.
type Revocation struct {
	Kind    RevocationKind
	Subject string
	Roles   []string
	N       int64
	// Until is when no token that it ends can be alive, and it can be forgotten.
	Until time.Time

	tx int64 // of its row; zero for one that was not read
}

// EndSession ends the access tokens of a session that ends in this transaction.
// This replica knows once it is committed, the others within a second.
func (r *Revocations) EndSession(tx *db.Tx, id string) {
	r.insert(tx, Revocation{Kind: RevokedSession, Subject: id, Until: r.now().Add(r.keep)}, "[]")
}

// Ended notifies this replica of a session that its caller has just seen to have been ended
// by another transaction, which may not have announced it yet. A client that learns that a
// session is over thus finds its access tokens dead.
func (r *Revocations) Ended(id string) {
	r.apply(Revocation{Kind: RevokedSession, Subject: id, Until: r.now().Add(r.keep)})
}

// ChangeRoles ends the access tokens of an account that carry other roles than
// it is given in this transaction, which is the nth time that they change.
func (r *Revocations) ChangeRoles(tx *db.Tx, account string, roles []string, n int64) error {
	list, err := json.Marshal(append([]string{}, roles...))
	if err != nil {
		return err
	}
	r.insert(tx, Revocation{Kind: RevokedRoles, Subject: account, Roles: roles, N: n, Until: r.now().Add(r.keep)}, string(list))
	return nil
}

// EndKey ends the access tokens that a key has signed.
func (r *Revocations) EndKey(tx *db.Tx, kid string) {
	r.insert(tx, Revocation{Kind: RevokedKey, Subject: kid, Until: r.now().Add(longestLife + leeway)}, "[]")
}

// EndBefore ends all sessions that began before the given moment, with their
// access tokens and their refresh tokens: each use of one of these asks
// [Revocations.Cut]. The zero time, and any that lies ahead, stands for two seconds
// from now. It returns the cut-off.
func (r *Revocations) EndBefore(tx *db.Tx, at time.Time) time.Time {
	now := r.now()
	if at.IsZero() || !at.Before(now) {
		at = now.Add(cutOffMargin)
	}
	// Tokens have whole seconds.
	if whole := at.Truncate(time.Second); whole.Before(at) {
		at = whole.Add(time.Second)
	}
	r.insert(tx, Revocation{Kind: RevokedBefore, N: db.Micros(at), Until: now.Add(longestSession)}, "[]")
	return at
}

// Cut reports whether a session that began then has ended by a cut-off that this
// replica knows of.
func (r *Revocations) Cut(began time.Time) bool {
	return db.Micros(began.Truncate(time.Second)) < r.cutOff.Load()
}

func (r *Revocations) insert(tx *db.Tx, row Revocation, roles string) {
	tx.Defer(`INSERT INTO revocation (kind, subject, roles, n, expires_at) VALUES ($1, $2, $3, $4, $5)`,
		string(row.Kind), row.Subject, roles, row.N, db.Micros(row.Until))
	tx.OnCommit(func() { r.apply(row) })
}

// apply takes a revocation in.
func (r *Revocations) apply(row Revocation) {
	switch row.Kind {
	case RevokedSession:
		r.sessions.add(row.Subject, row.Until, r.now)
	case RevokedBefore:
		for {
			known := r.cutOff.Load()
			if row.N <= known || r.cutOff.CompareAndSwap(known, row.N) {
				break
			}
		}
	case RevokedRoles, RevokedKey, clientsChanged:
		r.mu.Lock()
		r.applyNamed(row)
		r.mu.Unlock()
	}
}

func (r *Revocations) applyNamed(row Revocation) {
	until := db.Micros(row.Until)
	switch row.Kind {
	case RevokedKey:
		r.keys[row.Subject] = max(until, r.keys[row.Subject])
	case clientsChanged:
		r.signals.hear(row.Subject, until)
	default:
		if known, ok := r.roles[row.Subject]; !ok || row.N > known.n {
			r.roles[row.Subject] = rolesNow{roles: row.Roles, n: row.N, until: until}
		}
	}
}

// Dead reports whether a token is known here to have been revoked. It asks memory
// alone: only [Revocations.Check] knows that one has not.
func (r *Revocations) Dead(c *Claims) bool { return r.dead(c) }

// dead reports whether what is known here ends the token.
func (r *Revocations) dead(c *Claims) bool {
	if c.AuthTime*int64(time.Second/time.Microsecond) < r.cutOff.Load() || r.sessions.ended(c) {
		return true
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if _, ended := r.keys[c.KeyID]; ended {
		return true
	}
	is, changed := r.roles[c.Subject]
	return changed && c.Roles != nil && !slices.Equal(is.roles, c.Roles)
}

// forget drops what can't matter any more. The cut-off stays: it is one number,
// and the older it is the less it says.
func (r *Revocations) forget(now time.Time) {
	at := db.Micros(now)
	r.sessions.forget(now)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.signals.forget(now)
	for id, is := range r.roles {
		if is.until <= at {
			delete(r.roles, id)
		}
	}
	for id, until := range r.keys {
		if until <= at {
			delete(r.keys, id)
		}
	}
}

// Live is how many revocations are remembered.
func (r *Revocations) Live() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return int(r.sessions.live.Load()) + len(r.roles) + len(r.keys)
}

// Collapsed is how many of the 256 slices of sessions have a cut-off in place of
// their older revocations: see [endedSessions].
func (r *Revocations) Collapsed() int { return r.sessions.collapsed() }

// Since hands each living revocation to take that was written since the mark,
// some of them perhaps for the second time, and returns the mark to go on from.
// From a mark of zero it is all of them; so it is with restarted set, when the
// mark is ahead of the database: that went back in time, or is another one.
//
// The horizon comes first: what commits late comes after it, and is read next
// time.
func Since(tx *db.Tx, mark int64, now time.Time, take func(Revocation)) (next int64, restarted bool, err error) {
	if next, err = tx.Horizon("revocation"); err != nil {
		return 0, false, err
	}
	if restarted = next < mark; restarted {
		mark = 0
	}
	return next, restarted, taker(take).read(tx.Query(`SELECT kind, subject, roles, n, expires_at, tx FROM revocation WHERE tx >= $1 AND expires_at > $2`,
		mark, db.Micros(now)))
}

// taker is handed revocations.
type taker func(Revocation)

// read hands on the rows of a query on the columns kind, subject, roles, n,
// expires_at and tx.
func (take taker) read(rows *db.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			row         Revocation
			kind, roles string
			until       int64
		)
		if err := rows.Scan(&kind, &row.Subject, &roles, &row.N, &until, &row.tx); err != nil {
			return err
		}
		row.Kind, row.Until = RevocationKind(kind), db.Time(until)
		if roles != "[]" {
			if err := json.Unmarshal([]byte(roles), &row.Roles); err != nil {
				return fmt.Errorf("the roles of a revocation are no JSON list: %w", err)
			}
		}
		take(row)
	}
	return rows.Err()
}

// KeepRows is how much longer a row is kept than it can matter, for a clock that
// was set forward and is set back again.
const KeepRows = 2 * time.Hour

// Forget deletes rows that ended before a time.
func Forget(tx *db.Tx, b db.Batch) (db.Swept, error) {
	s, err := b.Read(tx.Query(`SELECT expires_at, '', 1, expires_at FROM revocation WHERE expires_at > $1 AND expires_at < $2 ORDER BY expires_at LIMIT $3`,
		b.After.At, b.Before, b.Keys))
	if err == nil && b.Deletes(s) {
		s.Due, err = tx.Exec(`DELETE FROM revocation WHERE expires_at > $1 AND expires_at <= $2`, b.After.At, s.Last.At)
	}
	return s, err
}
