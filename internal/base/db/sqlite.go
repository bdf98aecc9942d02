package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// sqliteEngine is the engine for SQLite: many readers, one writer, and a
// checkpointer next to them that copies the log into the file without standing
// in the writer's way.
type sqliteEngine struct {
	path    string
	readers *sql.DB
	stmts   sync.Map // query → *sql.Stmt on readers
	writer  *writer
	ckpt    *checkpointer
	log     *slog.Logger
	// inspector reads what there was no time to check at the start; or nil.
	inspector *inspector
}

// sqliteDSN names the file with the pragmas that every connection needs. FULL
// syncs the log at each commit: with NORMAL the last rotations could be lost
// when the power goes, and with them the tokens that clients hold.
//
// The wait is for a lock that another process holds.
func sqliteDSN(path string, wait time.Duration, pragmas ...string) string {
	q := url.Values{"_pragma": {fmt.Sprintf("busy_timeout(%d)", wait.Milliseconds()),
		"foreign_keys(1)", "synchronous(FULL)", "journal_mode(WAL)", "wal_autocheckpoint(0)",
		fmt.Sprintf("journal_size_limit(%d)", checkpointBytes/4)}}
	q["_pragma"] = append(q["_pragma"], pragmas...)
	return sqliteFile(path) + "?" + q.Encode()
}

func sqliteFile(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }

func openSQLite(ctx context.Context, path string, readers int, log *slog.Logger) (*sqliteEngine, error) {
	if path == "" {
		return nil, errors.New("sqlite: names no file: write sqlite:PATH")
	}
	path = filepath.Clean(path)
	if err := restoringSQLite(path); err != nil {
		return nil, err
	}
	if err := makePrivate(path); err != nil {
		return nil, err
	}
	// Before anything is opened for writing: what is damaged, or another's, must
	// stay as it is.
	checked, err := inspect(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := keepPrivate(path); err != nil {
		return nil, err
	}
	w, err := openWriter(ctx, path)
	if err != nil {
		return nil, openError(path, err)
	}
	r, err := sql.Open("sqlite", sqliteDSN(path, lockWait, "query_only(1)"))
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	r.SetMaxOpenConns(readers)
	r.SetMaxIdleConns(readers)
	c, err := openCheckpointer(path, w, log)
	if err != nil {
		return nil, errors.Join(err, r.Close(), w.close())
	}
	e := &sqliteEngine{path: path, readers: r, writer: w, ckpt: c, log: log}
	if !checked {
		if e.inspector, err = inspectOn(e); err != nil {
			return nil, errors.Join(err, e.close())
		}
	}
	return e, nil
}

// makePrivate makes the file if need be, with mode 0600. One that is there stays as it is
// until it is known to be ours.
func makePrivate(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("the folder of the SQLite database can't be made: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return openError(path, err)
	}
	return f.Close()
}

// keepPrivate takes from others the rights to a file that was inspected, so that SQLite
// gives its log and index the same mode: a copy or a restore may have left it readable.
// The mode of another user's file is theirs to set; so is that of an empty one
// that a link leads to, whose owner is unknown.
func keepPrivate(path string) error {
	link, err := os.Lstat(path)
	if err != nil {
		return openError(path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return openError(path, err)
	}
	if info.Mode().Perm()&0o077 == 0 || !info.Mode().IsRegular() || info.Size() == 0 && link.Mode()&fs.ModeSymlink != 0 {
		return nil
	}
	if err := os.Chmod(path, 0o600); err != nil && !errors.Is(err, fs.ErrPermission) {
		return openError(path, err)
	}
	return nil
}

// read runs its statements under no context of the caller's: database/sql and
// the driver would each start a goroutine to watch over it, which takes twice
// as long as a lookup by key. One that has given up is noticed before, and
// none waits for long: a read needs no lock that a writer holds, and every
// query of a feature has an index and a limit.
func (e *sqliteEngine) read(ctx context.Context, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &liteReader{engine: e}
	if err := fn(&Tx{ctx: context.WithoutCancel(ctx), conn: c}); err != nil {
		e.writer.note(err)
		return err
	}
	if c.deferred {
		return errDeferredInRead
	}
	return nil
}

func (e *sqliteEngine) write(ctx context.Context, fn func(*Tx) error) error {
	return e.writer.do(ctx, fn)
}

// All that is written is shared here.
func (e *sqliteEngine) writeShared(ctx context.Context, _ string, fn func(*Tx) error) error {
	return e.write(ctx, fn)
}

// There is no round trip to share.
func (e *sqliteEngine) readShared(ctx context.Context, fn func(*Tx) error) error {
	return e.read(ctx, fn)
}

func (e *sqliteEngine) stats() Stats {
	s := e.readers.Stats()
	return Stats{Max: s.MaxOpenConnections, Open: s.OpenConnections, InUse: s.InUse, Waits: s.WaitCount, Waited: s.WaitDuration}
}

// lately: on a full disk there is often room for the little that a check writes.
func (e *sqliteEngine) lately() error {
	if f := e.writer.failed.Load(); f != nil && time.Since(f.at) < failedFor {
		return f.err
	}
	return nil
}

// close ends the writer first: the last connection to close makes a checkpoint
// and removes the log.
func (e *sqliteEngine) close() error {
	if e.inspector != nil {
		e.inspector.close()
	}
	e.ckpt.close()
	e.stmts.Range(func(_, s any) bool { _ = s.(*sql.Stmt).Close(); return true })
	return errors.Join(e.readers.Close(), e.writer.close())
}

// liteReader reads on whichever connection is free. Compiling a statement costs
// as much as a lookup by key, so each text is compiled once a connection.
type liteReader struct {
	engine   *sqliteEngine
	deferred bool
}

func (r *liteReader) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := r.engine.stmts.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := r.engine.readers.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if first, loaded := r.engine.stmts.LoadOrStore(query, s); loaded {
		return first.(*sql.Stmt), s.Close()
	}
	return s, nil
}

func (r *liteReader) exec(context.Context, string, []any) (int64, error) {
	return 0, errExecInRead
}

func (r *liteReader) enqueue(string, []any) { r.deferred = true }

func (r *liteReader) query(ctx context.Context, query string, args []any) (rows, error) {
	s, err := r.stmt(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// checkpointer copies the write-ahead log into the database file. Left to
// SQLite, the commit that finds the log long does it, and its caller and all
// behind it wait. Here a connection of its own copies most of it while commits
// go on, and only the rest is copied between two groups of the writer, after
// which the log starts again from its beginning.
//
// What was deleted is overwritten in the file (secure_delete) only once the log is
// copied, and stands in the log until that is cut. So on a quiet server too it is cut, soon
// after the last commit: else an erased person's address could be read there for weeks.
type checkpointer struct {
	conn   *sql.DB
	writer *writer
	walLog string
	log    *slog.Logger
	stop   chan struct{}
	done   chan struct{}
	ending sync.Once
}

const (
	checkpointEvery = 500 * time.Millisecond
	// checkpointBytes is how long the log may grow before it is copied.
	checkpointBytes = 4 << 20
	// cutEvery is how long after a commit the log is cut to nothing, whatever its length.
	cutEvery = 10 * time.Second
	// pageSize is SQLite's, which nothing of ours changes.
	pageSize = 4096
)

func openCheckpointer(path string, w *writer, log *slog.Logger) (*checkpointer, error) {
	c, err := sql.Open("sqlite", sqliteDSN(path, lockWait))
	if err != nil {
		return nil, err
	}
	c.SetMaxOpenConns(1)
	k := &checkpointer{conn: c, writer: w, walLog: path + "-wal", log: log, stop: make(chan struct{}), done: make(chan struct{})}
	go k.loop()
	return k, nil
}

func (k *checkpointer) loop() {
	defer close(k.done)
	t := time.NewTicker(checkpointEvery)
	defer t.Stop()
	cut, uncut := time.Now(), true // a process that was killed may have left a log
	for {
		select {
		case <-k.stop:
			return
		case <-t.C:
		}
		if k.writer.damaged.Load() {
			return // both files stay as they are
		}
		wrote := k.writer.wroteSince()
		uncut = uncut || wrote
		var err error
		switch info, failed := os.Stat(k.walLog); {
		case failed != nil:
		case uncut && time.Since(cut) >= cutEvery:
			uncut, err = k.cut()
			cut = time.Now()
		case wrote && info.Size() >= checkpointBytes:
			err = k.run()
		}
		if err != nil {
			k.log.Warn("The SQLite WAL could not be copied into the database file; trying again.", "error", err.Error())
		}
	}
}

// cut copies the log into the file and leaves nothing of it, and reports whether something is left: while
// somebody reads, it is not waited for, since all who write would wait too.
func (k *checkpointer) cut() (left bool, err error) {
	if err := k.run(); err != nil {
		return true, err
	}
	var busy, logged, copied int
	err = k.writer.between(func(ctx context.Context, c *sql.Conn) error {
		return c.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &logged, &copied)
	})
	return err != nil || busy != 0, err
}

// run copies in rounds, on its own connection, until little is left: after a long reader,
// such as a backup, the log is long, and what is left is copied between two groups of
// the writer. While that reader is at it, nothing more can be copied, and the writer is left
// alone.
func (k *checkpointer) run() error {
	var busy, logged, copied int
	for before := -1; ; before = copied {
		if err := k.conn.QueryRow(`PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &logged, &copied); err != nil {
			return err
		}
		if (logged-copied)*pageSize < checkpointBytes {
			break
		}
		if copied <= before {
			return nil
		}
	}
	return k.writer.between(func(ctx context.Context, c *sql.Conn) error {
		return c.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &logged, &copied)
	})
}

func (k *checkpointer) close() {
	k.ending.Do(func() { close(k.stop) })
	<-k.done
	_ = k.conn.Close()
}
