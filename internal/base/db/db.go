// Package db is the database: SQLite inside the process by default, PostgreSQL
// when one machine is not enough. One SQL text serves both.
//
// All durable changes go through [DB.Write], which runs a function in one
// transaction, or [DB.WriteShared]; everything else through [DB.Read] and [DB.ReadShared].
// The function gets a [Tx], and features take a *Tx: a feature owns its tables, a flow
// owns the transaction.
//
// The portable subset of SQL has parameters written $1, ids as text made in Go, times as
// BIGINT microseconds ([Micros]), RETURNING and ON CONFLICT. Never now(), FOR
// UPDATE or data-modifying CTEs. The isolation level to rely on is READ COMMITTED:
// code that decides on what a row says takes the row's lock by updating it.
//
// # How it works
//
// SQLite has one writer (db/writer.go). It takes all callers that are waiting, runs each in
// a savepoint of one transaction, and commits them together, so that one sync of the
// disk serves many, and one caller's failure is its own. No caller gets a result before
// the commit. A second connection copies the WAL into the file while commits go on,
// so no caller pays for a checkpoint.
//
// PostgreSQL (db/postgres.go): BEGIN travels with the first statement, and deferred
// statements (tx.Defer: events, inserts whose result nobody needs) with the COMMIT.
// A refresh is two round trips, a failed sign-in's event one. Isolation is READ
// COMMITTED. account.SignedIn is an example of the lock by update: it makes sign-in and
// "disable this account" wait for each other.
//
// What many do at once, each with a row of its own (WriteShared: refreshes, codes;
// ReadShared: /v1/me), shares a transaction, or a round trip, with those that arrived
// meanwhile (db/shared.go, db/pgshared.go): the functions run as coroutines that
// stop at each statement, and the statements of all travel together. The rows are
// changed in one order. A member that fails, or does not get a lock within 100 ms,
// is set apart and run again by itself, and the others go on. A caller with little time
// left does not share, since a group has no more time than any of its members. A failed
// commit is run again only if the server says that the transaction is still open: an
// error alone may be a pooler's. None waits for others to join, and one that
// waits behind groups that are stuck goes past them after 100 ms.
//
// Outages (db/errors.go, docs/outages.md). A database error is Unavailable, and
// db.Trouble has a word for it. Before the commit is sent a broken connection is
// replaced and the function run again; after it, the caller gets a 503. On SQLite
// the writer waits for other programs' locks itself, once for all callers, and a
// caller whose time is up leaves the queue or the unfinished commit (write.leave).
// If a group fails all its members fail, since one may have been refused because
// of a neighbour's rows. db/inspect.go checks a file before anything may write to it.
// internal/transaction_test.go keeps contexts, and so second connections and slow
// work, out of transactions.
//
// Roles (db/grants.go, db/roles.go, db/roleplan.go). What the serving role may do
// is in a list, one line per table; a test checks it against the migrations and
// against every statement in the source (source_test.go, which also refuses SQL that
// is not constant). migrate --roles looks at what is there and plans only what
// differs. The serving role is in the owner's default privileges with SELECT:
// that is where a later migration finds which role to grant its rights to. Names can't be
// parameters; only roleSQL quotes them into statements.
//
// Migrations are goose's, embedded, one transaction each, with a lock that is a row
// (a file, on SQLite). We read the version ourselves: the library would create its
// table when it reads, which a role that only serves may not.
package db

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// MaxWrite is how long a Write may take, waiting included. The event log's
// sealing counts on it: no transaction that appends is older than this.
const MaxWrite = 10 * time.Second

// Config says which database to open.
type Config struct {
	// URL is sqlite:PATH or postgres://….
	URL string
	// MaxConns bounds the connections to PostgreSQL, and the readers of SQLite.
	// More than about 8 make PostgreSQL slower, not faster, on a small machine.
	MaxConns int
	Log      *slog.Logger
}

// Dialect is the kind of database behind a DB.
type Dialect string

// The two dialects.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// DB is an open database. It is safe for use by many goroutines.
type DB struct {
	engine  engine
	dialect Dialect
	fence   fence
}

// engine is what differs between the two databases.
type engine interface {
	read(ctx context.Context, fn func(*Tx) error) error
	write(ctx context.Context, fn func(*Tx) error) error
	readShared(ctx context.Context, fn func(*Tx) error) error
	writeShared(ctx context.Context, row string, fn func(*Tx) error) error
	migrator(ctx context.Context) (*migrator, error)
	stats() Stats
	// lately returns what a write failed of a moment ago, if a smaller one may
	// succeed all the same.
	lately() error
	close() error
}

// Stats is the state of the connections, for metrics.
type Stats struct {
	// Max is the most connections there may be, Open how many there are, InUse
	// how many of them are at work.
	Max, Open, InUse int
	// Waits counts how often a caller had to wait for a connection, Waited how
	// long they waited in all.
	Waits  int64
	Waited time.Duration
}

// Open opens the database without touching its schema: see [DB.Migrate].
// With SQLite it makes the file (mode 0600) and its folder (0700) if need be.
func Open(ctx context.Context, c Config) (*DB, error) {
	if c.MaxConns < 1 {
		c.MaxConns = 8
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if path, ok := strings.CutPrefix(c.URL, "sqlite:"); ok {
		e, err := openSQLite(ctx, path, c.MaxConns, c.Log)
		if err != nil {
			return nil, err
		}
		return &DB{engine: e, dialect: SQLite}, nil
	}
	if strings.HasPrefix(c.URL, "postgres://") || strings.HasPrefix(c.URL, "postgresql://") {
		e, err := openPostgres(ctx, c.URL, c.MaxConns)
		if err != nil {
			return nil, err
		}
		return &DB{engine: e, dialect: Postgres}, nil
	}
	return nil, errors.New("the database URL begins with neither sqlite: nor postgres://")
}

// Dialect returns which database this is.
func (d *DB) Dialect() Dialect { return d.dialect }

// Stats returns the state of the connections.
func (d *DB) Stats() Stats { return d.engine.stats() }

// Close waits for the writes under way and closes all connections.
func (d *DB) Close() error { return d.engine.close() }

// Read runs fn on one connection without a transaction: each statement sees
// what was committed when it began. If the connection breaks, fn is run again
// on another.
func (d *DB) Read(ctx context.Context, fn func(*Tx) error) error {
	return d.read(ctx, fn, d.engine.read)
}

// ReadShared is Read for a lookup or two by key, which many callers make at the same
// time: on PostgreSQL those who wait for one another take one round trip together.
// No caller should keep the others waiting, so it is not for what reads many rows.
func (d *DB) ReadShared(ctx context.Context, fn func(*Tx) error) error {
	return d.read(ctx, fn, d.engine.readShared)
}

func (d *DB) read(ctx context.Context, fn func(*Tx) error, once func(context.Context, func(*Tx) error) error) error {
	run := func(tx *Tx) error {
		tx.dialect = d.dialect
		return fn(tx)
	}
	ctx, step := d.step(ctx, "db.read")
	if err := ctx.Err(); err != nil { // the caller's time is over: nothing is wrong with the database
		return ended(step, err)
	}
	err := d.mayRead(ctx)
	if err == nil {
		err = once(ctx, run)
	}
	if isLost(err) {
		err = d.engine.read(ctx, run)
	}
	return ended(step, classify(err))
}

// Write runs fn in one transaction and commits it if fn returns nil. When
// Write returns nil the change is on disk; when it returns an error, nothing of
// it is, except when the connection broke, or the time was over, during the commit
// itself.
//
// On PostgreSQL fn is run again after a deadlock or a serialization failure, and
// when the connection breaks before the commit is sent, so it must start from
// its arguments each time. It must do nothing slow: no hashing, no network. It
// must not call Read or Write: with one connection that would wait for itself.
// If a statement fails the transaction does, even if fn returns nil.
func (d *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	return d.write(ctx, fn, d.engine.write)
}

// WriteShared is Write for what many callers do at the same time, each to a row of
// its own: those who wait for one another share a transaction and its commit, on
// PostgreSQL as on SQLite. None waits for others to join.
//
// There fn must change the row that is named before it changes or locks any other
// row that others may want, and should seldom fail: one that does has the group run
// again. It runs in another caller's goroutine, and must wait for nothing but the
// database. What is said of a commit in Write holds for the group's.
func (d *DB) WriteShared(ctx context.Context, row string, fn func(*Tx) error) error {
	once := func(ctx context.Context, fn func(*Tx) error) error { return d.engine.writeShared(ctx, row, fn) }
	return d.write(ctx, fn, once)
}

// write runs fn once, and again by itself where that may help.
func (d *DB) write(ctx context.Context, fn func(*Tx) error, once func(context.Context, func(*Tx) error) error) error {
	ctx, step := d.step(ctx, "db.write")
	if err := ctx.Err(); err != nil {
		return ended(step, err)
	}
	ctx, cancel := context.WithTimeout(ctx, MaxWrite)
	defer cancel()
	if err := d.mayWrite(ctx); err != nil {
		return ended(step, classify(err))
	}
	const tries = 4
	for try := 1; ; try++ {
		err := once(ctx, func(tx *Tx) error {
			tx.dialect = d.dialect
			if err := fn(tx); err != nil {
				return err
			}
			return tx.failed
		})
		if err == nil || try == tries || !isConflict(err) && !isLost(err) {
			step.SetInt("tries", try)
			return ended(step, classify(err))
		}
		once = d.engine.write
		// A little apart, so that the two that met don't meet again.
		wait := time.Duration(try) * time.Duration(5+rand.IntN(20)) * time.Millisecond //nolint:gosec // no secret
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ended(step, classify(err))
		}
	}
}

// Check reports whether the database serves requests: it takes a connection as a request
// would, and changes a row, to what it is already. [Trouble] puts the error in
// a word.
func (d *DB) Check(ctx context.Context) error {
	err := d.Write(ctx, func(tx *Tx) error {
		// In one statement, so that no lock outlasts a replica that stops in the middle.
		tx.Defer(`UPDATE install SET admin_at = admin_at`)
		return nil
	})
	if err == nil {
		err = classify(d.engine.lately())
	}
	return err
}

// Micros is how a time is kept: in microseconds since 1970, UTC.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// Time is the inverse of Micros.
func Time(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// TimeOrZero is Time for a column that may be NULL, which yields the zero time.
func TimeOrZero(micros *int64) time.Time {
	if micros == nil {
		return time.Time{}
	}
	return Time(*micros)
}

// unavailable is the fault of a database that can't serve for the moment.
func unavailable(err error) error {
	e := fault.New(fault.Unavailable, "database_unavailable", "The database can't be reached at the moment. Please try again shortly.")
	e.RetryAfter = time.Second
	return e.Because(err)
}
