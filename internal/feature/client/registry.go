package client

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// FreshFor is how long what was read is good by itself, when nobody can tell
// whether it has changed since.
const FreshFor = 900 * time.Millisecond

// Registry is all applications in memory. Whoever calls it tells how many
// changes of applications this replica has heard of: as long as that number
// stays the same, to authenticate asks nobody, whether the id is known or not,
// and takes the same work. There are few applications, and each takes a few
// hundred bytes.
type Registry struct {
	db    *db.DB
	stale time.Duration // how long to go on when the database can't be asked
	now   func() time.Time

	loading sync.Mutex // held to read everything again
	have    atomic.Pointer[snapshot]
}

type snapshot struct {
	changes uint64 // those known before it was read
	at      time.Time
	byID    map[string]known
}

// NewRegistry returns a registry that has read nothing yet. stale is for how
// long what it has read is good when the database can't be asked.
func NewRegistry(d *db.DB, stale time.Duration, now func() time.Time) *Registry {
	return &Registry{db: d, stale: stale, now: now}
}

// Verdict is what Authenticate found.
type Verdict string

// The verdicts.
const (
	Good        Verdict = "success"
	Old         Verdict = "old_secret" // good too: the one from before the rotation
	WrongSecret Verdict = "wrong_secret"
	Unknown     Verdict = "unknown_client"
)

// none is compared with for an id that is not known.
var none = make([]byte, sha256.Size)

// Authenticate returns the application if the secret is its. changes is how many
// changes of applications are known of here, and fresh whether that is all there
// were up to a moment ago. The error is one of the database's.
func (r *Registry) Authenticate(ctx context.Context, id, shown string, changes uint64, fresh bool) (Client, Verdict, error) {
	s, err := r.current(ctx, changes, fresh)
	if err != nil {
		return Client{}, "", err
	}
	c, verdict := s.judge(id, shown, r.now())
	return c, verdict, nil
}

// Known reports whether what was read last has an application with this secret,
// however long ago that was. It asks nobody.
func (r *Registry) Known(id, shown string) bool {
	s := r.have.Load()
	if s == nil {
		return false
	}
	_, verdict := s.judge(id, shown, r.now())
	return verdict == Good || verdict == Old
}

func (s *snapshot) judge(id, shown string, now time.Time) (Client, Verdict) {
	k, ok := s.byID[id]
	current, old := none, none
	if ok {
		current = k.hash
		if k.oldGood(now) {
			old = k.oldHash
		}
	}
	sum := sha256.Sum256([]byte(shown))
	isCurrent, isOld := subtle.ConstantTimeCompare(sum[:], current), subtle.ConstantTimeCompare(sum[:], old)
	switch {
	case !ok:
		return Client{}, Unknown
	case isCurrent == 1:
		return k.client(now), Good
	case isOld == 1:
		return k.client(now), Old
	}
	return Client{}, WrongSecret
}

// current returns what is in memory, or reads it again if that may have changed.
func (r *Registry) current(ctx context.Context, changes uint64, fresh bool) (*snapshot, error) {
	if s := r.have.Load(); r.good(s, changes, fresh) {
		return s, nil
	}
	r.loading.Lock()
	defer r.loading.Unlock()
	s := r.have.Load()
	if r.good(s, changes, fresh) { // another has read it meanwhile
		return s, nil
	}
	next := &snapshot{changes: changes, at: r.now()}
	err := r.db.Read(ctx, func(tx *db.Tx) error {
		next.byID = map[string]known{}
		return each(tx, func(k known) { next.byID[k.id] = k })
	})
	if err != nil {
		if s != nil && r.age(s) <= r.stale {
			return s, nil
		}
		return nil, err
	}
	r.have.Store(next)
	return next, nil
}

func (r *Registry) good(s *snapshot, changes uint64, fresh bool) bool {
	return s != nil && s.changes >= changes && (fresh || r.age(s) <= FreshFor)
}

// age is how old a snapshot is, by the monotonic clock or the wall clock,
// whichever says more: a machine that was suspended has only one of them right.
func (r *Registry) age(s *snapshot) time.Duration {
	now := r.now()
	wall := now.Round(0).Sub(s.at.Round(0))
	if wall < 0 {
		return math.MaxInt64
	}
	return max(now.Sub(s.at), wall)
}
