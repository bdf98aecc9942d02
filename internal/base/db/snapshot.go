package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
)

// Snapshot is one moment of the database, read over a connection of its own while others
// go on. It stands in nobody's way, as long as it does not last for hours: see
// [DB.Snapshot].
type Snapshot struct {
	source snapshotSource
	ctx    context.Context
	// Dialect is that of the database, Schema its version, Time when the snapshot was
	// taken.
	Dialect Dialect
	Schema  int64
	Time    time.Time
}

// snapshotSource is what differs between the two databases.
type snapshotSource interface {
	// row runs a query for one row of the snapshot.
	row(ctx context.Context, query string, dest []any) error
	// copy writes a table's rows as COPY text, and reports whether PostgreSQL takes them.
	copy(ctx context.Context, t schema.Table, w io.Writer) (portable bool, err error)
	// room refuses to go on where that would fill the disk.
	room() error
	// end ends the snapshot, and refuses one that was in the way of others.
	end(ctx context.Context) error
	close()
}

// Snapshot calls fn with one moment of the database. On PostgreSQL it is a transaction that
// is READ ONLY and has no id: such a one holds back neither revocations nor the sealing of
// the event log, whatever its age. It holds back vacuum, so the context must bound it. On
// SQLite the write-ahead log grows while it lasts: [Snapshot.Room] says when that is too
// much.
func (d *DB) Snapshot(ctx context.Context, now time.Time, fn func(*Snapshot) error) error {
	var (
		source snapshotSource
		err    error
	)
	switch e := d.engine.(type) {
	case *postgres:
		source, err = e.snapshot(ctx)
	case *sqliteEngine:
		source, err = e.snapshot(ctx)
	}
	if err != nil {
		return classify(err)
	}
	defer source.close()
	s := &Snapshot{source: source, ctx: ctx, Dialect: d.dialect, Time: now}
	if err := source.row(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM schema_version WHERE is_applied`, []any{&s.Schema}); err != nil {
		return classify(err)
	}
	if err := fn(s); err != nil {
		return err // what is the caller's own says nothing of the database
	}
	return classify(source.end(ctx))
}

// Row reads one row; ErrNoRows if there is none.
func (s *Snapshot) Row(query string, dest ...any) error {
	return classify(s.source.row(s.ctx, query, dest))
}

// Copy writes all rows of a table as COPY text, in no order. It reports whether PostgreSQL
// takes them: SQLite can hold text that is not UTF-8, or has a NUL.
func (s *Snapshot) Copy(t schema.Table, w io.Writer) (portable bool, err error) {
	own := &writing{to: w}
	portable, err = s.source.copy(s.ctx, t, own)
	if own.err != nil {
		return portable, own.err
	}
	return portable, classify(err)
}

// writing keeps the error of whoever takes the rows apart from the database's.
type writing struct {
	to  io.Writer
	err error
}

func (w *writing) Write(b []byte) (int, error) {
	n, err := w.to.Write(b)
	if err != nil && w.err == nil {
		w.err = err
	}
	return n, err
}

// Room refuses to go on (log_too_long, no_room) where the snapshot makes SQLite's log too
// long. It is for asking now and then.
func (s *Snapshot) Room() error { return s.source.room() }

// expressions are a table's columns as a backup reads them. They come from package
// schema, which a test holds against the database.
func expressions(t schema.Table) string {
	list := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		list[i] = t.Expression(c)
	}
	return strings.Join(list, ", ")
}

// errSnapshotID is for a snapshot that got a transaction's id: it would have held back
// what every replica reads on from.
var errSnapshotID = errors.New("the snapshot's transaction has an id, so it held back revocations on other replicas: this is a mistake in Gatehouse")

// logTooLong is the refusal to let SQLite's log grow any further.
func logTooLong(size int64) error {
	return fault.New(fault.Unavailable, "log_too_long", fmt.Sprintf(
		"The write-ahead log of the SQLite database has grown to %d MiB while the backup was read, so the backup was given up: much is written at the moment. "+
			"Make it at a quieter time, or with --fast.", size>>20))
}

// noRoom is the refusal to go on with a full disk.
func noRoom(what string, free int64) error {
	return fault.New(fault.Unavailable, "no_room", fmt.Sprintf(
		"There is too little room on the disk of %s: %d MiB are free. Make some, and try again.", what, free>>20))
}
