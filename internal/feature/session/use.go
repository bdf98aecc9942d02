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

// Uses remembers when and from where sessions were used, and writes it now and then, so
// that a request costs a map lookup. What a crash loses, the next use mends.
type Uses struct {
	db *db.DB

	mu   sync.Mutex
	last map[string]use
}

// use is when a session was used and from which address, which may be empty, and until when it
// lives by that; zero for no longer than before.
type use struct {
	at, until time.Time
	address   string
}

// NewUses returns an empty one; see [Uses.Run].
func NewUses(d *db.DB) *Uses { return &Uses{db: d, last: map[string]use{}} }

// Add notes a use of a session from an address.
func (u *Uses) Add(id, address string, at time.Time) { u.Slide(id, address, at, time.Time{}) }

// Slide notes a use by which a session goes on living until the given time, if nothing else ends it
// before: that of a browser whose refresh token is looked at and not replaced.
func (u *Uses) Slide(id, address string, at, until time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	known, there := u.last[id]
	if there || len(u.last) < usesMax {
		if until.Before(known.until) {
			until = known.until
		}
		u.last[id] = use{at, until, address}
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
	u.last = make(map[string]use)
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

// used writes a use, unless the row records one less than a minute before; a refresh counts
// for that only if it was made where the row says that the session is used. A session that was
// over by the time of the use lives no longer for it.
func used(tx *db.Tx, id string, u use) {
	var until int64
	if !u.until.IsZero() {
		until = db.Micros(u.until)
	}
	tx.Defer(`UPDATE session SET used_at = $2, idle_at = CASE WHEN idle_at < $4 AND idle_at > $2 THEN $4 ELSE idle_at END,
			last_address = CASE WHEN $5 = '' THEN last_address ELSE $5 END
		WHERE id = $1 AND ended_at IS NULL AND used_at <= $3
			AND (minted_at <= $3 OR minted_at <= $2 AND $5 <> '' AND $5 <> CASE WHEN last_address = '' THEN address ELSE last_address END)`,
		id, db.Micros(u.at), db.Micros(u.at.Add(-writeUses)), until, u.address)
}
