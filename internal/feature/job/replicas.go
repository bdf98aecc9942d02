package job

import (
	"context"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Replicas reports how many processes serve from one database. Each counts a row of
// its own up, and takes those for alive whose rows it has seen go up in the last
// minute: so no two clocks need to agree.
type Replicas struct {
	db *db.DB
	id string
	// now is the clock that rows are forgotten by, passed the time since some moment.
	now    func() time.Time
	passed func() time.Duration

	mu   sync.Mutex
	n    int64
	seen map[string]sighting
}

// sighting is the number that a replica's row had, and since when.
type sighting struct {
	n  int64
	at time.Duration
}

const (
	// beat is how often a replica shows that it lives, and alive how long it is
	// taken to live after that.
	beat  = 15 * time.Second
	alive = time.Minute
	// lingers is how old a row may be that is not known yet and may be alive: more
	// than alive, for clocks that differ.
	lingers = 10 * time.Minute
)

// NewReplicas returns one for this process, which has the id alone. It knows of
// nobody else before its first [Replicas.Beat].
func NewReplicas(d *db.DB, id string, now func() time.Time) *Replicas {
	start := time.Now()
	return &Replicas{db: d, id: id, now: now, passed: func() time.Duration { return time.Since(start) }, seen: map[string]sighting{}}
}

// Alive returns how many there are, this one included.
func (r *Replicas) Alive() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, passed := 1, r.passed()
	for id, s := range r.seen {
		if id != r.id && passed-s.at < alive {
			n++
		}
	}
	return n
}

// Beat shows that this one lives, and looks who else does.
func (r *Replicas) Beat(ctx context.Context) error {
	r.mu.Lock()
	r.n++
	n := r.n
	r.mu.Unlock()
	found := map[string]int64{}
	err := r.db.Write(ctx, func(tx *db.Tx) (err error) {
		now := r.now()
		if _, err := tx.Exec(`INSERT INTO replica (id, n, seen_at) VALUES ($1, $2, $3)
			ON CONFLICT (id) DO UPDATE SET n = excluded.n, seen_at = excluded.seen_at`, r.id, n, db.Micros(now)); err != nil {
			return err
		}
		found, err = readReplicas(tx, now.Add(-lingers))
		return err
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	passed := r.passed()
	for id, n := range found {
		if s, known := r.seen[id]; !known || s.n != n {
			r.seen[id] = sighting{n, passed}
		}
	}
	for id := range r.seen {
		if _, there := found[id]; !there { // it said goodbye
			delete(r.seen, id)
		}
	}
	return nil
}

func readReplicas(tx *db.Tx, since time.Time) (map[string]int64, error) {
	rows, err := tx.Query(`SELECT id, n FROM replica WHERE seen_at > $1`, db.Micros(since))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[string]int64{}
	for rows.Next() {
		var (
			id string
			n  int64
		)
		if err := rows.Scan(&id, &n); err != nil {
			return nil, err
		}
		found[id] = n
	}
	return found, rows.Err()
}

// Run beats until the context ends, and says goodbye. failed is called with what fails;
// until the database is back, those who were alive last are taken to be so.
func (r *Replicas) Run(ctx context.Context, failed func(error)) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			_ = r.leave(bye) // or its row gets old
			return
		case <-tick.C:
			if err := r.Beat(ctx); err != nil && ctx.Err() == nil {
				failed(err)
			}
		}
	}
}

// leave takes the row of this one away.
func (r *Replicas) leave(ctx context.Context) error {
	return r.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`DELETE FROM replica WHERE id = $1`, r.id)
		return err
	})
}

// ForgetReplicas deletes up to limit rows of those that were not seen since.
func ForgetReplicas(tx *db.Tx, before time.Time, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM replica WHERE id IN (SELECT id FROM replica WHERE seen_at < $1 LIMIT $2)`, db.Micros(before), limit)
}

// CountReplicas returns how many have shown themselves within a minute, by the clock of
// this one: for people to look at. Without a shared counter there is one.
func CountReplicas(tx *db.Tx, now time.Time) (n int, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM replica WHERE seen_at > $1`, db.Micros(now.Add(-alive))).Scan(&n)
	return max(n, 1), err
}

// Running looks whether replicas live, from outside of all of them: it waits until each must have shown so, and counts those that have.
func Running(ctx context.Context, d *db.DB, wait func(context.Context, time.Duration) error) (n int, err error) {
	var found map[string]int64
	look := func() error {
		return d.Read(ctx, func(tx *db.Tx) (err error) { found, err = readReplicas(tx, time.Unix(0, 0)); return err })
	}
	if err := look(); err != nil {
		return 0, err
	}
	before := found
	if err := wait(ctx, 2*beat); err != nil {
		return 0, err
	}
	if err := look(); err != nil {
		return 0, err
	}
	for id, count := range found {
		if was, known := before[id]; !known || count != was {
			n++
		}
	}
	return n, nil
}
