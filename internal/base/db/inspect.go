package db

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// inspectTime is how long the start may be held up by reading the whole file.
// What is not read by then is read while the server serves.
const inspectTime = time.Second

// magic begins every SQLite database (file format, section 1.3).
const magic = "SQLite format 3\x00"

// inspect reads the file and refuses one that is no database, another
// application's, or damaged. It opens it so that nothing can be written. It
// reports whether there was time to read all of it.
func inspect(ctx context.Context, path string) (all bool, err error) {
	fresh, err := inspectHeader(path)
	if fresh || err != nil {
		return true, err
	}
	d, err := openReadOnly(path)
	if err != nil {
		return false, err
	}
	defer d.Close()
	err = inspectOwner(ctx, d, path)
	if isLite(err, sqlite3.SQLITE_READONLY) {
		// Somebody died within a transaction before the file had its write-ahead
		// log, as a first start can, and left a rollback journal. Nothing can be
		// read before that is played back, which is what every reader does.
		if err = rollBack(ctx, path); err == nil {
			err = inspectOwner(ctx, d, path)
		}
	}
	if err != nil {
		return false, err
	}
	soon, cancel := context.WithTimeout(ctx, inspectTime)
	defer cancel()
	err = quickCheck(soon, d, path)
	if err != nil && fault.As(err) == nil && soon.Err() != nil {
		return false, ctx.Err()
	}
	return true, err
}

func openReadOnly(path string) (*sql.DB, error) {
	d, err := sql.Open("sqlite", sqliteFile(path)+fmt.Sprintf("?mode=ro&_pragma=busy_timeout(%d)&_pragma=query_only(1)", lockWait.Milliseconds()))
	if err != nil {
		return nil, err
	}
	d.SetMaxOpenConns(1)
	return d, nil
}

// rollBack has SQLite roll back the journal that lies next to the file.
func rollBack(ctx context.Context, path string) error {
	d, err := sql.Open("sqlite", sqliteFile(path)+fmt.Sprintf("?mode=rw&_pragma=busy_timeout(%d)", lockWait.Milliseconds()))
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_master`).Scan(new(int64)); err != nil {
		return openError(path, err)
	}
	return nil
}

// inspectHeader looks at the file without SQLite, and reports whether it is
// empty, and so one to begin with.
func inspectHeader(path string) (fresh bool, err error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return false, openError(path, err)
	}
	defer f.Close()
	head := make([]byte, 100)
	n, err := io.ReadFull(f, head)
	log, logErr := os.Stat(path + "-wal")
	switch {
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return false, openError(path, err)
	case n == 0 && logErr == nil && log.Size() > 0:
		// SQLite would take the log for a leftover, and remove it.
		return false, damaged(path, errors.New("it is empty, and its WAL is not"))
	case n == 0:
		return true, nil
	case n < len(head) && bytes.HasPrefix([]byte(magic), head[:min(n, len(magic))]):
		return false, damaged(path, errors.New("it ends within its header"))
	case !bytes.HasPrefix(head, []byte(magic)):
		return false, fault.New(fault.Invalid, "not_a_database", fmt.Sprintf(
			"%s is not a SQLite database, or its beginning has been overwritten. It was not changed. Name another file in DATABASE_URL, or restore a backup.", path))
	}
	return false, nil
}

// inspectOwner refuses another application's database.
func inspectOwner(ctx context.Context, d *sql.DB, path string) error {
	var tables, ours int64
	err := d.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(SUM(name IN ('schema_version', 'schema_lock')), 0) FROM sqlite_master
		WHERE type = 'table' AND name NOT LIKE 'sqlite@_%' ESCAPE '@'`).Scan(&tables, &ours)
	if err == nil && ours > 0 && tables > 1 {
		// Migrations are transactions: either there is all of the first, or nothing.
		var install int64
		err = d.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'install'`).Scan(&install)
		ours = min(ours, install)
	}
	if err != nil {
		return openError(path, err)
	}
	if tables > 0 && ours == 0 {
		return fault.New(fault.Invalid, "another_database", fmt.Sprintf(
			"%s holds the tables of another application. It was not changed. Name another file in DATABASE_URL: one that does not exist yet is made.", path))
	}
	return nil
}

// quickCheck reads every page and holds it against the others.
func quickCheck(ctx context.Context, d *sql.DB, path string) error {
	var first string
	if err := d.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&first); err != nil {
		if isDamage(err) {
			return damaged(path, err)
		}
		return err
	}
	if first != "ok" {
		return damaged(path, errors.New(strings.ReplaceAll(first, "\n", " ")))
	}
	return nil
}

// damaged is the refusal of a damaged file.
func damaged(path string, why error) error {
	return fault.New(fault.Unavailable, "database_damaged", fmt.Sprintf(
		"The SQLite database %[1]s is damaged, and was not changed. Copy it with %[1]s-wal and %[1]s-shm, if they are there, to a safe place. "+
			"Then restore a backup; or see what can be saved: sqlite3 %[1]s .recover | sqlite3 recovered.db", path)).Because(errors.Join(errDamaged, why))
}

// openError says why the file can't be opened and what to do about it.
func openError(path string, err error) error {
	problem := func(code, format string, args ...any) error {
		return fault.New(fault.Unavailable, code, fmt.Sprintf(format, args...)).Because(err)
	}
	switch {
	case isDamage(err):
		return damaged(path, err)
	case isLocked(err):
		return problem("database_locked", "Another program holds the lock on the SQLite database %s. Find out which (fuser %[1]s), end it, and start again.", path)
	case isLite(err, sqlite3.SQLITE_FULL), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return problem("database_full", "There is no room on the disk for the SQLite database %s. Make some, and start again.", path)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS),
		isLite(err, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
		return problem("database_read_only", "The SQLite database %s can't be opened for writing. The user who runs gatehouse must own the file and its folder %s, "+
			"where SQLite keeps its log, and the disk must not be mounted read-only.", path, filepath.Dir(path))
	case isLite(err, sqlite3.SQLITE_IOERR):
		return problem("database_unreadable", "The disk fails to read or write the SQLite database %s. If there is room on it, look at the system's log "+
			"for what is wrong.", path)
	}
	return fmt.Errorf("the SQLite database %s can't be opened: %w", path, err)
}

// inspector goes on with the check of a large file while the server serves.
type inspector struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func inspectOn(e *sqliteEngine) (*inspector, error) {
	d, err := openReadOnly(e.path)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	i := &inspector{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(i.done)
		defer d.Close()
		err := quickCheck(ctx, d, e.path)
		e.writer.note(err)
		if isDamage(err) {
			e.log.Error("The database is damaged: from now on nothing is written to it.", "error", err.Error())
		}
	}()
	return i, nil
}

func (i *inspector) close() {
	i.cancel()
	<-i.done
}
