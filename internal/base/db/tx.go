package db

import (
	"context"
	"database/sql"
	"errors"
)

// ErrNoRows is what [Row.Scan] returns when there is no row.
var ErrNoRows = sql.ErrNoRows

// What only Write may do.
var (
	errExecInRead     = errors.New("Exec in a Read: only Write can change anything")
	errDeferredInRead = errors.New("a deferred statement in a Read: only Write can change anything")
)

// Tx is one transaction, or one connection for reading. It belongs to the
// function that was given it, and to one goroutine.
type Tx struct {
	ctx      context.Context
	conn     conn
	dialect  Dialect
	failed   error // the first statement's that failed
	onCommit []func()
}

// conn is the connection behind a Tx. A query's rows are closed before the
// next call.
type conn interface {
	exec(ctx context.Context, query string, args []any) (int64, error)
	query(ctx context.Context, query string, args []any) (rows, error)
	// enqueue holds a statement back until the next one, or the commit, so that
	// it costs no round trip of its own.
	enqueue(query string, args []any)
}

type rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// Exec runs a statement and returns how many rows it touched.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	n, err := tx.conn.exec(tx.ctx, query, args)
	return n, tx.keep(err)
}

// Defer runs a statement whose result nobody needs. Where it pays it travels
// with the next statement or with the commit; if it fails, that fails.
func (tx *Tx) Defer(query string, args ...any) { tx.conn.enqueue(query, args) }

// OnCommit calls fn once the transaction is on disk, and never if it is not.
// It is for what must not be reported about a change that did not happen.
func (tx *Tx) OnCommit(fn func()) { tx.onCommit = append(tx.onCommit, fn) }

// Query runs a query. The rows must be closed before the next statement.
func (tx *Tx) Query(query string, args ...any) (*Rows, error) {
	r, err := tx.conn.query(tx.ctx, query, args)
	if err != nil {
		return nil, tx.keep(err)
	}
	return &Rows{r}, nil
}

// QueryRow runs a query for at most one row.
func (tx *Tx) QueryRow(query string, args ...any) *Row {
	r, err := tx.conn.query(tx.ctx, query, args)
	return &Row{tx: tx, rows: r, err: err}
}

// keep remembers that a statement failed. PostgreSQL then refuses all others
// and the commit; SQLite would go on, so [DB.Write] does not let it.
func (tx *Tx) keep(err error) error {
	if tx.failed == nil {
		tx.failed = err
	}
	return err
}

// Rows is the result of a query, as in database/sql.
type Rows struct{ rows }

// Strings reads the one column of a query: Strings(tx.Query(…)).
func Strings(rows *Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// Row is the result of QueryRow.
type Row struct {
	tx   *Tx
	rows rows
	err  error
}

// Scan copies the row's columns. It returns ErrNoRows if there is none.
func (r *Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.tx.keep(r.err)
	}
	if !r.rows.Next() {
		if err := errors.Join(r.rows.Err(), r.rows.Close()); err != nil {
			return r.tx.keep(err)
		}
		return ErrNoRows
	}
	err := r.rows.Scan(dest...)
	return r.tx.keep(errors.Join(err, r.rows.Close()))
}

// committed notifies those who wait for the commit.
func (tx *Tx) committed() {
	for _, fn := range tx.onCommit {
		fn()
	}
}
