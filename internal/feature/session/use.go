package session

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

const (
	// writeUses is how often what was used is written, and how much later a use
	// must be than what the row says already to be worth a write: so no session is
	// written more than once a minute, however many replicas see it.
	writeUses = time.Minute
	// usesMax bounds the sessions that a replica remembers until they are written.
	// Of those beyond it the last refresh counts.
	usesMax = 200_000
	// usesBatch bounds one transaction: SQLite has one writer, and nobody's sign-in
	// shall wait long for it.
	usesBatch = 250
)

// Uses remembers when access tokens were used, and writes it now and then, so
// that a request costs a map look-up. What a crash loses, the next use mends.
type Uses struct {
	db *db.DB

	mu   sync.Mutex
	last map[string]time.Time
}

// NewUses returns an empty one; see [Uses.Run].
func NewUses(d *db.DB) *Uses { return &Uses{db: d, last: map[string]time.Time{}} }

// Add notes a use of a session.
func (u *Uses) Add(id string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, known := u.last[id]; known || len(u.last) < usesMax {
		u.last[id] = at
	}
}

// Run writes each minute until the context ends, and once more then.
func (u *Uses) Run(ctx context.Context, complain func(error)) {
	tick := time.NewTicker(writeUses)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := u.Flush(ctx); err != nil {
				complain(err)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := u.Flush(last); err != nil {
				complain(err)
			}
			return
		}
	}
}

// Flush writes what was noted. What can't be written is forgotten: it would be
// old by the time that it can. The order of the ids keeps replicas that write at
// once from waiting for each other in a circle.
func (u *Uses) Flush(ctx context.Context) error {
	u.mu.Lock()
	last := u.last
	u.last = make(map[string]time.Time)
	u.mu.Unlock()
	ids := make([]string, 0, len(last))
	for id := range last {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for batch := range slices.Chunk(ids, usesBatch) {
		err := u.db.Write(ctx, func(tx *db.Tx) error {
			for _, id := range batch {
				used(tx, id, last[id])
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// used writes a use, unless the row tells of one less than a minute before.
func used(tx *db.Tx, id string, at time.Time) {
	tx.Defer(`UPDATE session SET used_at = $2 WHERE id = $1 AND ended_at IS NULL AND used_at <= $3 AND minted_at <= $3`,
		id, db.Micros(at), db.Micros(at.Add(-writeUses)))
}
