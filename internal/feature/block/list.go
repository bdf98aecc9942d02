package block

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

const (
	// unheard is how long a replica may hear nothing of the database before it reads
	// everything again: rows may have gone meanwhile, or the database gone back in time.
	unheard = 10 * time.Second
	// loadTime is how long it may take to read the changes, or everything.
	loadTime = 2 * time.Minute
)

// List is the blocks in force as one replica knows them. While the database is
// away the last ones known stay in force, and end when they would have.
type List struct {
	db   *db.DB
	now  func() time.Time
	wake chan struct{}

	wanted  atomic.Int64 // block_n as of the last poll
	heardAt atomic.Int64 // when that was, in microseconds
	state   atomic.Pointer[state]
}

// state is what was read. It never changes; the tables of two may share parts.
type state struct {
	n     int64 // every change up to this one has been read
	table *bart.Table[int64]
}

// never is the end of a block that has none.
const never = 0

// NewList returns a list that is empty until [List.Load].
func NewList(d *db.DB, now func() time.Time) *List {
	l := &List{db: d, now: now, wake: make(chan struct{}, 1)}
	l.state.Store(&state{n: -1, table: &bart.Table[int64]{}})
	return l
}

// Has reports whether an address is blocked. It must be IPv4 as IPv4, without a
// zone. It costs less than a microsecond, however many blocks there are.
func (l *List) Has(a netip.Addr) bool {
	table := l.state.Load().table
	until, ok := table.Lookup(a)
	if !ok {
		return false
	}
	if until == never {
		return true
	}
	now := db.Micros(l.now())
	if until > now {
		return true
	}
	// The narrowest is over: a wider one may not be.
	for _, until := range table.Supernets(netip.PrefixFrom(a, a.BitLen())) {
		if until == never || until > now {
			return true
		}
	}
	return false
}

// Len is how many blocks are held, those included that have just expired.
func (l *List) Len() int { return l.state.Load().table.Size() }

// Poll looks whether there are changes, and has [List.Run] read them: it may be
// part of a transaction that must not wait for a million rows.
func (l *List) Poll(tx *db.Tx) error {
	var n int64
	if err := tx.QueryRow(`SELECT block_n FROM install`).Scan(&n); err != nil {
		return err
	}
	now := db.Micros(l.now())
	if gap := now - l.heardAt.Swap(now); gap < 0 || gap > unheard.Microseconds() {
		l.forgetN()
	}
	l.wanted.Store(n)
	if l.state.Load().n != n {
		select {
		case l.wake <- struct{}{}:
		default: // it is awake
		}
	}
	return nil
}

// forgetN keeps the blocks, and has everything read again.
func (l *List) forgetN() { l.state.Store(&state{n: -1, table: l.state.Load().table}) }

// Run reads changes when a poll saw some, until the context ends. complain is called
// when that begins to fail; the next poll has it tried again.
func (l *List) Run(ctx context.Context, complain func(error)) {
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		err := l.Load(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			complain(err)
		}
		failing = err != nil
	}
}

// Load reads what has changed since the last time: everything, the first time and
// when the database went back.
func (l *List) Load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	was := l.state.Load()
	var is *state
	err := l.db.Read(ctx, func(tx *db.Tx) error {
		var n int64
		if err := tx.QueryRow(`SELECT block_n FROM install`).Scan(&n); err != nil {
			return err
		}
		// A change that is committed between the two statements is read, and read
		// once more: its number is past n.
		if was.n < 0 || n < was.n {
			table, err := readAll(tx)
			is = &state{n: n, table: table}
			return err
		}
		table, err := readOn(tx, was.table, was.n)
		is = &state{n: n, table: table}
		return err
	})
	if err != nil {
		return err
	}
	// Not if a poll said meanwhile that everything is to be read: the next one wakes
	// us again then.
	l.state.CompareAndSwap(was, is)
	return nil
}

// readAll reads all blocks into a table of its own.
func readAll(tx *db.Tx) (*bart.Table[int64], error) {
	table := &bart.Table[int64]{}
	err := each(tx, 0, func(n netip.Prefix, until int64, removed bool) {
		if !removed {
			table.Insert(n, until)
		}
	})
	return table, err
}

// readOn returns the table with the changes after the nth.
func readOn(tx *db.Tx, table *bart.Table[int64], n int64) (*bart.Table[int64], error) {
	err := each(tx, n, func(n netip.Prefix, until int64, removed bool) {
		if removed {
			table = table.DeletePersist(n)
		} else {
			table = table.InsertPersist(n, until)
		}
	})
	return table, err
}

func each(tx *db.Tx, after int64, take func(n netip.Prefix, until int64, removed bool)) error {
	rows, err := tx.Query(`SELECT network, COALESCE(expires_at, 0), removed_at IS NOT NULL FROM block WHERE n > $1`, after)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			network string
			until   int64
			removed bool
		)
		if err := rows.Scan(&network, &until, &removed); err != nil {
			return err
		}
		n, err := netip.ParsePrefix(network)
		if err != nil {
			return err
		}
		take(n, until, removed)
	}
	return rows.Err()
}
