package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// pgLoad loads into PostgreSQL, as the schema's owner. The mark is a table, restoring, which
// has a row for each part that is loaded.
type pgLoad struct {
	db   *DB
	conn *pgx.Conn
	url  string
}

func loadPostgres(ctx context.Context, c Config, mark loadMark) (*pgLoad, error) {
	d, err := Open(ctx, c)
	if err != nil {
		return nil, err
	}
	p := d.engine.(*postgres)
	l := &pgLoad{db: d, url: c.URL}
	if err = p.inspect(ctx); err == nil {
		l.conn, err = pgx.ConnectConfig(ctx, p.pool.Config().ConnConfig.Copy())
	}
	if err == nil {
		err = l.alone(ctx)
	}
	if err == nil {
		err = l.mark(ctx, mark)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// loadLock is the advisory lock of whoever loads into a database.
const loadLock = 7089621411

// aloneWithin is for how long another's lock is waited for: the server needs a moment to notice that a process was killed.
const aloneWithin = 20 * time.Second

// alone keeps all others from loading into the database while the connection lasts: two moves of one installation have the same
// mark, and would each take the other's rows for their own.
func (l *pgLoad) alone(ctx context.Context) error {
	for end := time.Now().Add(aloneWithin); ; {
		var got bool
		if err := l.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(loadLock)).Scan(&got); err != nil || got {
			return err
		}
		if time.Now().After(end) {
			return fault.New(fault.Conflict, "target_busy",
				"Another gatehouse backup restore or backup move is loading into this database. Wait until it has ended.")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// mark makes the table restoring in an empty database, or finds its own.
func (l *pgLoad) mark(ctx context.Context, mark loadMark) error {
	return pgx.BeginFunc(ctx, l.conn, func(tx pgx.Tx) error {
		var tables int
		var marked bool
		err := tx.QueryRow(ctx, `SELECT COUNT(*), COALESCE(BOOL_OR(relname = 'restoring'), FALSE) FROM pg_class
			WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relkind IN ('r', 'p', 'f')
			AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE classid = to_regclass('pg_class') AND objid = pg_class.oid AND deptype = 'e')`).Scan(&tables, &marked)
		switch {
		case err != nil:
			return err
		case marked:
			return l.take(ctx, tx, mark)
		case tables > 0:
			return notEmpty("The database")
		case mark.begun:
			return notBegun("the database")
		}
		if _, err := tx.Exec(ctx, `CREATE TABLE restoring (part TEXT PRIMARY KEY)`); err != nil {
			return rightsMissing(err)
		}
		_, err = tx.Exec(ctx, `INSERT INTO restoring (part) VALUES ($1)`, "backup "+mark.of)
		return err
	})
}

// take finds the mark in a database that has one. A move that was killed before its source was fenced has made no more than the
// tables: the next one, whose number is another, takes those over.
func (l *pgLoad) take(ctx context.Context, tx pgx.Tx, mark loadMark) error {
	var mine, moves, parts int
	err := tx.QueryRow(ctx, `SELECT COUNT(*) FILTER (WHERE part = $1), COUNT(*) FILTER (WHERE part LIKE $2),
		COUNT(*) FILTER (WHERE part NOT LIKE 'backup %' AND part NOT LIKE $4 AND part <> ALL ($3)) FROM restoring`,
		"backup "+mark.of, "backup "+MoveMark+"%", []string{schemaPart, strippedPart}, remake+"%").
		Scan(&mine, &moves, &parts)
	if err != nil || mine > 0 {
		return err
	}
	if mark.begun || moves == 0 || parts > 0 || !strings.HasPrefix(mark.of, MoveMark) {
		return unfinished("this database, by another command than this")
	}
	_, err = tx.Exec(ctx, `UPDATE restoring SET part = $1 WHERE part LIKE $2`, "backup "+mark.of, "backup "+MoveMark+"%")
	return err
}

// schemaPart is the part that is no table's.
const schemaPart = "schema"

// begin makes the schema, and takes away the rows that migrations put there.
func (l *pgLoad) begin(ctx context.Context, version int64) error {
	if _, err := l.db.migrateTo(ctx, version); err != nil {
		return err
	}
	err := l.once(ctx, schemaPart, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM event_head`)
		return err
	})
	if err != nil {
		return err
	}
	return l.strip(ctx)
}

// once does something in one transaction with its row in restoring, or leaves it out if that
// is there.
func (l *pgLoad) once(ctx context.Context, part string, fn func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, l.conn, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO restoring (part) VALUES ($1) ON CONFLICT DO NOTHING`, part)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return fn(tx)
	})
}

func (l *pgLoad) columns(ctx context.Context, table string) ([]string, error) {
	rows, err := l.conn.Query(ctx, `SELECT attname::text COLLATE "C" FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
		ORDER BY 1`, table)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// part copies. The triggers that keep the event log append-only are off meanwhile, for
// this transaction alone: rows that were erased are gone already.
func (l *pgLoad) part(ctx context.Context, p LoadPart) error {
	name := pgx.Identifier{p.Table.Name}.Sanitize()
	return l.once(ctx, p.Name, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf(`ALTER TABLE %s DISABLE TRIGGER USER`, name)); err != nil {
			return err
		}
		kept := p.Rows
		text := p.Text
		var filtering *filtered
		if p.Keep != nil {
			filtering = filter(p)
			text = filtering.out
		}
		tag, err := tx.Conn().PgConn().CopyFrom(ctx, text, fmt.Sprintf(`COPY %s (%s) FROM STDIN`, name, quoted(p.Table.Stored())))
		if filtering != nil {
			_ = filtering.out.CloseWithError(errors.New("the copy ended"))
			kept = <-filtering.kept
		}
		if err != nil {
			return err
		}
		if tag.RowsAffected() != kept {
			return fmt.Errorf("%d rows were loaded of %d", tag.RowsAffected(), kept)
		}
		_, err = tx.Exec(ctx, fmt.Sprintf(`ALTER TABLE %s ENABLE TRIGGER USER`, name))
		return err
	})
}

// filtered are the rows of a part that are kept.
type filtered struct {
	out  *io.PipeReader
	kept chan int64
}

func filter(p LoadPart) *filtered {
	r, w := io.Pipe()
	f := &filtered{r, make(chan int64, 1)}
	go func() {
		n := int64(0)
		err := eachRow(p.Text, p.Table.Columns, func(row []any, line []byte) error {
			if !p.Keep(row) {
				return nil
			}
			n++
			_, err := w.Write(line)
			return err
		})
		_ = w.CloseWithError(err)
		f.kept <- n
	}()
	return f
}

// ready says where sealing goes on: event.tx is 0 for sealed events and 1 for others.
func (l *pgLoad) ready(ctx context.Context) (string, error) {
	_, err := l.conn.Exec(ctx, `UPDATE event_head SET from_tx = 1 WHERE from_tx = 0`)
	if err == nil {
		err = l.makeAgain(ctx)
	}
	if err == nil {
		_, err = l.conn.Exec(ctx, `ANALYZE`)
	}
	return l.url, err
}

func (l *pgLoad) unmark(tx *Tx) error {
	_, err := tx.Exec(`DROP TABLE restoring`)
	return err
}

func (l *pgLoad) complete(context.Context) error { return nil }

func (l *pgLoad) close() {
	if l.conn != nil {
		_ = l.conn.Close(context.Background())
	}
	_ = l.db.Close()
}

// restoring refuses a database that a backup is being loaded into.
func (p *postgres) restoring(ctx context.Context) error {
	var marked bool
	if err := p.pool.QueryRow(ctx, `SELECT to_regclass('restoring') IS NOT NULL`).Scan(&marked); err != nil {
		return err
	}
	if marked {
		return unfinished("this database")
	}
	return nil
}
