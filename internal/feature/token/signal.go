package token

import (
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// clientsChanged is a row that ends no token: it signals to the replicas that
// registered applications have changed, by the way on which nothing is missed.
const clientsChanged RevocationKind = "clients"

// signals counts the changes that this replica has heard of. The ids are kept
// for as long as the rows: a change is counted once, however often it is read.
type signals struct {
	seen  map[string]int64 // until when, by id; guarded by Revocations.mu
	count atomic.Uint64
}

// ClientsChanged notifies all replicas, once this transaction is committed, that
// registered applications have changed.
func (r *Revocations) ClientsChanged(tx *db.Tx, random secret.Random) {
	now := r.now()
	r.insert(tx, Revocation{Kind: clientsChanged, Subject: random.ID(now), Until: now.Add(r.keep)}, "[]")
}

// ClientChanges is how many such changes are known of here. It only grows.
func (r *Revocations) ClientChanges() uint64 { return r.signals.count.Load() }

// hear counts a signal that was not heard before. It is called with mu held.
func (s *signals) hear(id string, until int64) {
	if s.seen == nil {
		s.seen = map[string]int64{}
	}
	if _, heard := s.seen[id]; !heard {
		s.count.Add(1)
	}
	s.seen[id] = until
}

// forget drops those that can't be read again. It is called with mu held.
func (s *signals) forget(now time.Time) {
	for id, until := range s.seen {
		if until <= db.Micros(now) {
			delete(s.seen, id)
		}
	}
}
