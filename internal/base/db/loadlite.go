package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
)

// restoringName is behind the name of a file that a backup is loaded into. A process that
// was killed begins anew: the file has no journal. From the beginning to the end there is a
// file of that name, if only an empty one: that is the mark.
const restoringName = ".restoring"

// liteLoad loads into a SQLite file of another name, which gets its own at the end.
type liteLoad struct {
	path   string // as it will be
	events int64
	unlock func()
	db     *sql.DB
	again  []string // statements that make indexes and triggers
	// closed and open are how many rows of event were loaded that are sealed for certain,
	// and that may not be: these must come last.
	closed, open int64
}

func loadSQLite(ctx context.Context, path string, events int64, begun bool) (*liteLoad, error) {
	path = filepath.Clean(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("the folder of the SQLite database can't be made: %w", err)
	}
	unlock, err := lockedfile.MutexAt(path + restoringName + "-lock").Lock()
	if err != nil {
		return nil, fmt.Errorf("waiting for another restore: %w", err)
	}
	l := &liteLoad{path: path, events: events, unlock: unlock}
	err = l.empty(ctx)
	if err == nil && begun {
		if _, err = os.Stat(path + restoringName); errors.Is(err, fs.ErrNotExist) {
			err = notBegun(path)
		}
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// empty refuses a file that has anything in it.
func (l *liteLoad) empty(ctx context.Context) error {
	info, err := os.Stat(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Size() > 0 {
		return notEmpty(l.path)
	}
	return ctx.Err()
}

// begin makes the schema, and takes away what slows loading or refuses it: indexes, and the
// triggers that keep the event log append-only.
func (l *liteLoad) begin(ctx context.Context, version int64) error {
	working := l.path + restoringName
	for _, end := range []string{"-wal", "-shm", "-journal", "-migrate"} {
		if err := os.Remove(working + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	// An empty file takes the place of what another try has left.
	err := os.WriteFile(working+"-empty", nil, 0o600)
	if err == nil {
		err = os.Rename(working+"-empty", working)
	}
	if err != nil {
		return err
	}
	d, err := Open(ctx, Config{URL: "sqlite:" + working, MaxConns: 1})
	if err != nil {
		return err
	}
	_, err = d.migrateTo(ctx, version)
	if err := errors.Join(err, d.Close()); err != nil {
		return err
	}
	if l.db, err = sql.Open("sqlite", sqliteFile(working)+"?_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)&_pragma=foreign_keys(0)"); err != nil {
		return err
	}
	l.db.SetMaxOpenConns(1)
	rows, err := l.db.QueryContext(ctx, `SELECT type, name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY type, name`)
	if err != nil {
		return err
	}
	defer rows.Close()
	drop := []string{`DELETE FROM event_head`}
	for rows.Next() {
		var kind, name, text string
		if err := rows.Scan(&kind, &name, &text); err != nil {
			return err
		}
		drop, l.again = append(drop, fmt.Sprintf(`DROP %s "%s"`, kind, name)), append(l.again, text)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	return l.all(ctx, drop)
}

func (l *liteLoad) all(ctx context.Context, statements []string) error {
	for _, s := range statements {
		if _, err := l.db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func (l *liteLoad) columns(ctx context.Context, table string) ([]string, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT name FROM pragma_table_info($1)`, table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out, rows.Err()
}

func (l *liteLoad) part(ctx context.Context, p LoadPart) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	columns := p.Table.Stored()
	places := make([]string, len(columns))
	for i := range places {
		places[i] = fmt.Sprint("$", i+1)
	}
	insert, err := tx.PrepareContext(ctx, fmt.Sprintf(`INSERT INTO "%s" (%s) VALUES (%s)`, p.Table.Name, quoted(columns), strings.Join(places, ", ")))
	if err != nil {
		return err
	}
	defer insert.Close()
	at := slices.IndexFunc(p.Table.Columns, func(c schema.Column) bool { return p.Table.Name == "event" && c.Name == schema.Open })
	err = eachRow(p.Text, p.Table.Columns, func(row []any, _ []byte) error {
		if p.Keep != nil && !p.Keep(row) {
			return nil
		}
		if at >= 0 {
			row[at] = l.number(row[at])
		}
		_, err := insert.ExecContext(ctx, row...)
		return err
	})
	if err != nil {
		return err
	}
	return tx.Commit()
}

// number is the counter of an event's row: those that may not be sealed come behind all
// others.
func (l *liteLoad) number(open any) int64 {
	if open == int64(0) {
		l.closed++
		return l.closed
	}
	l.open++
	return l.events + l.open
}

func (l *liteLoad) ready(ctx context.Context) (string, error) {
	next := l.closed + 1 // of the first event that may not be sealed, or of the next that is written
	if l.open > 0 {
		next = l.events + 1
	}
	statements := slices.Concat(l.again, []string{fmt.Sprintf(`UPDATE event_head SET from_tx = %d`, next)})
	if err := l.all(ctx, statements); err != nil {
		return "", err
	}
	var table string
	err := l.db.QueryRowContext(ctx, `SELECT "table" FROM pragma_foreign_key_check LIMIT 1`).Scan(&table)
	if err == nil {
		return "", fmt.Errorf("a row of the table %s points at one that is not there", table)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return "", err
	}
	err = l.db.Close()
	l.db = nil
	return "sqlite:" + l.path + restoringName, err
}

func (l *liteLoad) unmark(*Tx) error { return nil }

// complete has the disk keep the file, and gives it its name.
func (l *liteLoad) complete(ctx context.Context) error {
	if err := l.empty(ctx); err != nil {
		return err
	}
	working := l.path + restoringName
	f, err := os.OpenFile(working, os.O_RDWR, 0) //nolint:gosec // the file that this restore has made, beside the database of the settings
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	for _, end := range []string{"-wal", "-shm"} {
		if info, err := os.Stat(working + end); err == nil && info.Size() > 0 && end == "-wal" {
			return errors.New("the restored database still has a log")
		}
		_ = os.Remove(working + end)
		_ = os.Remove(l.path + end) // of the empty file that is replaced
	}
	if err := os.Rename(working, l.path); err != nil {
		return err
	}
	_ = os.Remove(working + "-migrate")
	d, err := os.Open(filepath.Dir(l.path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (l *liteLoad) close() {
	if l.db != nil {
		_ = l.db.Close()
	}
	_ = os.Remove(l.path + restoringName + "-lock")
	l.unlock()
}

// restoring refuses to begin a database where a backup is being loaded.
func restoringSQLite(path string) error {
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		return nil
	}
	if _, err := os.Stat(path + restoringName); err == nil {
		return unfinished(path)
	}
	return nil
}
