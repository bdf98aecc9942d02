package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// sqliteEngine is the engine for SQLite: many readers, one writer, and a
// checkpointer beside them that copies the log into the file without standing
// in the writer's way.
type sqliteEngine struct {
	path    string
	readers *sql.DB
	stmts   sync.Map // query → *sql.Stmt on readers
	writer  *writer
	ckpt    *checkpointer
}

// sqliteDSN names the file with the pragmas that every connection needs. FULL
// syncs the log at each commit: with NORMAL the last rotations could be lost
// when the power goes, and with them the tokens that clients hold.
func sqliteDSN(path string, pragmas ...string) string {
	q := url.Values{"_pragma": {"busy_timeout(5000)", "foreign_keys(1)", "synchronous(FULL)", "journal_mode(WAL)", "wal_autocheckpoint(0)"}}
	q["_pragma"] = append(q["_pragma"], pragmas...)
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

func openSQLite(ctx context.Context, path string, readers int, log *slog.Logger) (*sqliteEngine, error) {
	if path == "" {
		return nil, errors.New("sqlite: names no file: write sqlite:PATH")
	}
	path = filepath.Clean(path)
	if err := makePrivate(path); err != nil {
		return nil, err
	}
	w, err := openWriter(ctx, path)
	if err != nil {
		return nil, classify(err)
	}
	r, err := sql.Open("sqlite", sqliteDSN(path, "query_only(1)"))
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	r.SetMaxOpenConns(readers)
	r.SetMaxIdleConns(readers)
	c, err := openCheckpointer(path, w, log)
	if err != nil {
		return nil, errors.Join(err, r.Close(), w.close())
	}
	return &sqliteEngine{path: path, readers: r, writer: w, ckpt: c}, nil
}

// makePrivate makes the file, so that SQLite finds it with mode 0600 and gives
// its log and index the same.
func makePrivate(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("the folder of the SQLite database can't be made: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("the SQLite database can't be opened: %w", err)
	}
	return f.Close()
}

// read runs its statements under no context of the caller's: database/sql and
// the driver would each start a goroutine to watch over it, which takes twice
// as long as a look-up by key. One that has given up is noticed before, and
// none waits for long: a read needs no lock that a writer holds, and every
// query of a feature has an index and a limit.
func (e *sqliteEngine) read(ctx context.Context, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &liteReader{engine: e}
	if err := fn(&Tx{ctx: context.WithoutCancel(ctx), conn: c}); err != nil {
		return err
	}
	if c.deferred {
		return errors.New("a deferred statement in a Read: only Write can change anything")
	}
	return nil
}

func (e *sqliteEngine) write(ctx context.Context, fn func(*Tx) error) error {
	return e.writer.do(ctx, fn)
}

func (e *sqliteEngine) stats() Stats {
	s := e.readers.Stats()
	return Stats{Max: s.MaxOpenConnections, Open: s.OpenConnections, InUse: s.InUse, Waits: s.WaitCount, Waited: s.WaitDuration}
}

// close ends the writer first: the last connection to close makes a checkpoint
// and removes the log.
func (e *sqliteEngine) close() error {
	e.ckpt.close()
	e.stmts.Range(func(_, s any) bool { _ = s.(*sql.Stmt).Close(); return true })
	return errors.Join(e.readers.Close(), e.writer.close())
}

// liteReader reads on whichever connection is free. Compiling a statement costs
// as much as a look-up by key, so each text is compiled once a connection.
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
	return 0, errors.New("Exec in a Read: only Write can change anything")
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
type checkpointer struct {
	conn   *sql.DB
	writer *writer
	walLog string
	log    *slog.Logger
	stop   chan struct{}
	done   chan struct{}
}

const (
	checkpointEvery = 500 * time.Millisecond
	// checkpointBytes is how long the log may grow before it is copied.
	checkpointBytes = 4 << 20
)

func openCheckpointer(path string, w *writer, log *slog.Logger) (*checkpointer, error) {
	c, err := sql.Open("sqlite", sqliteDSN(path))
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
	for {
		select {
		case <-k.stop:
			return
		case <-t.C:
		}
		if info, err := os.Stat(k.walLog); err != nil || info.Size() < checkpointBytes || !k.writer.wroteSince() {
			continue
		}
		if err := k.run(); err != nil {
			k.log.Warn("The SQLite log could not be copied into the database file; trying again.", "error", err.Error())
		}
	}
}

func (k *checkpointer) run() error {
	var busy, logged, copied int
	err := k.conn.QueryRow(`PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &logged, &copied)
	if err != nil {
		return err
	}
	return k.writer.between(func(ctx context.Context, c *sql.Conn) error {
		return c.QueryRowContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &logged, &copied)
	})
}

func (k *checkpointer) close() {
	close(k.stop)
	<-k.done
	_ = k.conn.Close()
}
