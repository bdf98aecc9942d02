package db

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"

	"github.com/gatehouse-auth/gatehouse/internal/base/copytext"
	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
)

const (
	// leastLog is how long SQLite's log may get in any case while a snapshot is read;
	// above that, half as long as the file.
	leastLog = 1 << 30
	// spareRoom must be free beyond the log, which is copied into the file afterwards.
	spareRoom = 1 << 30
	// flushAt is from how many bytes on rows are handed on.
	flushAt = 64 << 10
)

// liteSnapshot is a snapshot of SQLite: a read transaction on a read-only connection. Not the
// online backup interface, which begins anew with every commit of another connection.
type liteSnapshot struct {
	path string
	db   *sql.DB
	conn *sql.Conn
	tx   *sql.Tx
}

func (e *sqliteEngine) snapshot(ctx context.Context) (snapshotSource, error) {
	d, err := openReadOnly(e.path)
	if err != nil {
		return nil, err
	}
	s := &liteSnapshot{path: e.path, db: d}
	if s.conn, err = d.Conn(ctx); err == nil {
		s.tx, err = s.conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	}
	if err != nil {
		s.close()
		return nil, openError(e.path, err)
	}
	return s, nil
}

func (s *liteSnapshot) row(ctx context.Context, query string, dest []any) error {
	return s.tx.QueryRowContext(ctx, query).Scan(dest...)
}

func (s *liteSnapshot) copy(ctx context.Context, t schema.Table, w io.Writer) (portable bool, err error) {
	rows, err := s.tx.QueryContext(ctx, fmt.Sprintf(`SELECT %s FROM "%s"`, expressions(t), t.Name))
	if err != nil {
		return false, fmt.Errorf("reading the table %s: %w", t.Name, err)
	}
	defer rows.Close()
	cells := make([]cell, len(t.Columns))
	row, into := make([]any, len(cells)), make([]any, len(cells))
	for i := range cells {
		into[i] = &cells[i]
	}
	portable = true
	buffer := make([]byte, 0, 2*flushAt)
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return false, err
		}
		for i := range cells {
			row[i] = cells[i].value
		}
		var ok bool
		buffer, ok = copytext.Append(buffer, row)
		portable = portable && ok
		if len(buffer) >= flushAt {
			if _, err := w.Write(buffer); err != nil {
				return false, err
			}
			buffer = buffer[:0]
		}
	}
	if err := rows.Err(); err != nil {
		return false, err
	}
	if len(buffer) == 0 {
		return portable, nil
	}
	_, err = w.Write(buffer)
	return portable, err
}

// cell takes a value as the driver has it: sql.RawBytes makes an empty text and NULL
// alike.
type cell struct{ value any }

// Scan implements sql.Scanner.
func (c *cell) Scan(v any) error {
	switch v.(type) {
	case nil, int64, string, []byte:
		c.value = v
		return nil
	}
	return fmt.Errorf("a %T stands in a column, which no column of ours can hold", v)
}

func (s *liteSnapshot) room() error {
	var log int64
	if info, err := os.Stat(s.path + "-wal"); err == nil {
		log = info.Size()
	}
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	if log > max(leastLog, info.Size()/2) {
		return logTooLong(log)
	}
	if free, known := FreeSpace(s.path); known && free < log+spareRoom {
		return noRoom(s.path, free)
	}
	return nil
}

func (s *liteSnapshot) end(context.Context) error { return nil }

func (s *liteSnapshot) close() {
	if s.tx != nil {
		_ = s.tx.Rollback()
	}
	if s.conn != nil {
		_ = s.conn.Close()
	}
	_ = s.db.Close()
}
