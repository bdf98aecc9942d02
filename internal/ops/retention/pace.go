// Package retention deletes what is kept long enough: links and codes that are over, old
// events, ended sessions, mails that were sent, accounts that nobody uses. It does so in batches that are sized by
// how long they take, with rests between, so that nobody who is waiting for the database notices.
//
// # How it works
//
// Each table is swept behind a cursor. What went is counted in the batch's transaction, so a killed run loses no count. A
// clock that leapt is not believed for a day. Whoever deletes asks for a hold (feature/hold) in the transaction that
// deletes. An inactive account goes by a pure decision over three mails (inactive.go), each counted from when it was
// accepted, and by an update of the row that a sign-in takes. Pacing is pure, and mutants judge its tests.
package retention

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// mostKeys is how many keys a batch looks at, at most; firstKeys how many the first one
// does, and leastKeys what each does however slow the database is.
const (
	mostKeys  = 2000
	firstKeys = 125
	leastKeys = 1
)

// busyRests is by how much a rest is longer while somebody waits for a connection.
const busyRests = 10

// longestRest bounds a rest, whatever a clock said.
const longestRest = 30 * time.Second

// speed is how long a batch may take, and how many times as long the rest behind it is. On
// SQLite all who write wait for a batch; on PostgreSQL it takes one connection of several.
type speed struct {
	goal  time.Duration
	rests time.Duration
}

var speeds = map[db.Dialect]speed{
	db.Postgres: {20 * time.Millisecond, 3},
	db.SQLite:   {2 * time.Millisecond, 19},
}

// pace sizes batches by how long they took. It is pure: it has neither a clock nor a database.
type pace struct {
	speed
	keys int
}

func newPace(s speed) *pace { return &pace{s, firstKeys} }

// next is told how long a batch took and whether somebody waited meanwhile; it says how
// long to rest, and resizes the next batch.
func (p *pace) next(took time.Duration, waited bool) (rest time.Duration) {
	took = max(took, 0) // a clock went back
	if took > p.goal {
		p.keys = max(p.keys/2, leastKeys)
	}
	if took <= p.goal/2 {
		p.keys = min(2*p.keys, mostKeys)
	}
	rest = p.rests * took
	if waited {
		rest = busyRests * max(rest, p.goal)
	}
	return min(rest, longestRest)
}

// Pacer runs batches one after the other.
type Pacer struct {
	DB *db.DB
	// Now and Rest are the clock by which batches are measured, and how the rests are spent.
	Now  func() time.Time
	Rest func(ctx context.Context, d time.Duration) error
	// Waits counts how often somebody waited for a connection.
	Waits func() int64
	speed speed
}

// NewPacer returns the pacer of a database.
func NewPacer(d *db.DB) *Pacer {
	return &Pacer{DB: d, Now: time.Now, Rest: sleep, Waits: func() int64 { return d.Stats().Waits }, speed: speeds[d.Dialect()]}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Work does one batch in a transaction: it looks at so many keys at most, and says whether there
// may be more. It is run again where a transaction has to be.
type Work func(tx *db.Tx, keys int) (more bool, err error)

// Run runs batches until one says that there are no more, each in a transaction of its own
// with a rest behind it.
func (p *Pacer) Run(ctx context.Context, work Work) error {
	return p.run(ctx, p.DB.Write, work, func() {})
}

// run is Run with the transaction's kind, and calls done after each that went well.
func (p *Pacer) run(ctx context.Context, transaction func(context.Context, func(*db.Tx) error) error, work Work, done func()) error {
	size := newPace(p.speed)
	for waits := p.Waits(); ; {
		var (
			more bool
			took time.Duration
		)
		// Inside: on SQLite the time until a batch's turn, and that of the commit, are others'.
		err := transaction(ctx, func(tx *db.Tx) (err error) {
			began := p.Now()
			more, err = work(tx, size.keys)
			took = p.Now().Sub(began)
			return err
		})
		if err != nil {
			return err
		}
		done()
		if !more {
			return nil
		}
		now := p.Waits()
		rest := size.next(took, now > waits)
		waits = now
		if err := p.Rest(ctx, rest); err != nil {
			return err
		}
	}
}

// Sweep is a sweep through a table: see [db.Batch].
type Sweep func(tx *db.Tx, b db.Batch) (db.Swept, error)

// Sweep runs a sweep to its end, for what is due before a time.
func (p *Pacer) Sweep(ctx context.Context, before time.Time, sweep Sweep) error {
	return p.sweep(ctx, db.Batch{Before: db.Micros(before)}, sweep, nothing, func(db.Swept) {})
}

func nothing(*db.Tx, db.Swept) error { return nil }

// sweep is Sweep from a first batch on, dry or not. within is called in each batch's transaction
// with what that came to, and after with the same once it is committed.
func (p *Pacer) sweep(ctx context.Context, b db.Batch, sweep Sweep, within func(*db.Tx, db.Swept) error, after func(db.Swept)) error {
	transaction := p.DB.Write
	if b.Dry {
		transaction = p.DB.Read
	}
	var s db.Swept
	return p.run(ctx, transaction, func(tx *db.Tx, keys int) (bool, error) {
		var err error
		b.Keys = keys
		if s, err = sweep(tx, b); err != nil {
			return false, err
		}
		return s.Looked == keys, within(tx, s)
	}, func() {
		b.After = s.Last
		after(s)
	})
}
