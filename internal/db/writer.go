package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// errClosed is the answer of a database that has been closed.
var errClosed = errors.New("the database is closed")

// writer is SQLite's one writing connection and the goroutine that owns it.
//
// A commit costs a sync of the disk, and SQLite has one at a time. So the
// writer takes all callers that wait, runs each in a savepoint of its own
// within one transaction, and commits them together: the sync is shared, and
// one caller's failure is undone to its savepoint without touching the others.
// Nobody is answered before the commit, not even those that failed, since they
// may have failed because of what a neighbour has just written.
type writer struct {
	db    *sql.DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	queue chan *write
	wrote atomic.Bool // something was committed since the last checkpoint

	closing sync.RWMutex // held for reading by those who send to the queue
	closed  bool
	done    chan struct{}
}

const (
	// groupSize is the most callers that share a commit.
	groupSize = 128
	// groupTime bounds the work before a commit, so that the first of a group
	// does not wait for the last.
	groupTime = 20 * time.Millisecond
)

// write is one caller's transaction.
type write struct {
	ctx     context.Context
	fn      func(*Tx) error
	between func(context.Context, *sql.Conn) error // instead of fn: not in a transaction
	tx      *Tx
	err     error
	panic   any
	done    chan struct{}
}

func openWriter(ctx context.Context, path string) (*writer, error) {
	d, err := sql.Open("sqlite", sqliteDSN(path))
	if err != nil {
		return nil, err
	}
	d.SetMaxOpenConns(1)
	c, err := d.Conn(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the SQLite database: %w", err), d.Close())
	}
	w := &writer{db: d, conn: c, stmts: map[string]*sql.Stmt{}, queue: make(chan *write, groupSize), done: make(chan struct{})}
	go w.loop()
	return w, nil
}

// do runs fn in a transaction and returns when it is on disk. If fn panics, so
// does do, in the caller's goroutine.
func (w *writer) do(ctx context.Context, fn func(*Tx) error) error {
	return w.send(&write{ctx: ctx, fn: fn, done: make(chan struct{})})
}

// between runs fn on the writing connection while no transaction is open.
func (w *writer) between(fn func(context.Context, *sql.Conn) error) error {
	return w.send(&write{ctx: context.Background(), between: fn, done: make(chan struct{})})
}

func (w *writer) send(job *write) error {
	w.closing.RLock()
	if w.closed {
		w.closing.RUnlock()
		return errClosed
	}
	select {
	case w.queue <- job:
		w.closing.RUnlock()
	case <-job.ctx.Done():
		w.closing.RUnlock()
		return job.ctx.Err()
	}
	// From here on the answer is waited for even when the caller has given up: it
	// says whether the change was made.
	<-job.done
	if job.panic != nil {
		panic(job.panic)
	}
	if job.err == nil && job.tx != nil {
		job.tx.committed()
	}
	return job.err
}

// wroteSince tells whether anything was committed since it was last asked.
func (w *writer) wroteSince() bool { return w.wrote.Swap(false) }

func (w *writer) loop() {
	defer close(w.done)
	for job := range w.queue {
		if job.between != nil {
			w.alone(job)
			continue
		}
		w.group(job)
	}
	for _, s := range w.stmts {
		_ = s.Close()
	}
	_ = w.conn.Close()
	_ = w.db.Close()
}

// group runs the first job and those that wait behind it, commits, and answers
// them all.
func (w *writer) group(first *write) {
	var members []*write
	var after *write // a job that wants no transaction ends the group
	began := time.Now()
	err := w.run("BEGIN IMMEDIATE")
	for job := first; job != nil; job = w.next(len(members), began) {
		if job.between != nil {
			after = job
			break
		}
		members = append(members, job)
		if err == nil {
			err = w.savepoint(job)
		}
	}
	if err == nil {
		err = w.run("COMMIT")
	}
	if err != nil {
		// Whatever it was, none of it is on disk. ROLLBACK fails if SQLite has
		// rolled back by itself, which is as good.
		_ = w.run("ROLLBACK")
	} else {
		w.wrote.Store(true)
	}
	for _, job := range members {
		if err != nil && job.err == nil {
			job.err = err
		}
		close(job.done)
	}
	if after != nil {
		w.alone(after)
	}
}

// alone runs a job that wants no transaction.
func (w *writer) alone(job *write) {
	job.err = job.between(context.Background(), w.conn)
	close(job.done)
}

// next returns the next waiting job, or nil if the group is to be committed.
func (w *writer) next(members int, began time.Time) *write {
	if members >= groupSize || time.Since(began) > groupTime {
		return nil
	}
	select {
	case job := <-w.queue:
		return job // nil when the queue is closed
	default:
		return nil
	}
}

// savepoint runs one job in a savepoint. The error is one that ends the whole
// group; the job's own is kept with the job.
func (w *writer) savepoint(job *write) error {
	if job.err = job.ctx.Err(); job.err != nil {
		return nil
	}
	if err := w.run("SAVEPOINT job"); err != nil {
		return err
	}
	w.call(job)
	if job.err != nil || job.panic != nil {
		if err := w.run("ROLLBACK TO job"); err != nil {
			// SQLite gave up the whole transaction: the disk is full, say.
			return unavailable(errors.Join(job.err, err))
		}
	}
	return w.run("RELEASE job")
}

// call runs the job's function. The statements run under no context of the
// caller's: to interrupt one would roll back the neighbours too.
func (w *writer) call(job *write) {
	defer func() { job.panic = recover() }()
	c := &liteWriter{w: w}
	job.tx = &Tx{ctx: context.Background(), conn: c}
	job.err = job.fn(job.tx)
	if job.err == nil {
		job.err = c.deferErr
	}
}

func (w *writer) run(query string) error {
	s, err := w.stmt(query)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(context.Background())
	return err
}

func (w *writer) stmt(query string) (*sql.Stmt, error) {
	if s, ok := w.stmts[query]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	w.stmts[query] = s
	return s, nil
}

// close lets those who wait be served, then ends the goroutine.
func (w *writer) close() error {
	w.closing.Lock()
	if w.closed {
		w.closing.Unlock()
		return nil
	}
	w.closed = true
	close(w.queue)
	w.closing.Unlock()
	<-w.done
	return nil
}

// liteWriter is the writing connection as one job sees it.
type liteWriter struct {
	w        *writer
	deferErr error
}

func (l *liteWriter) exec(ctx context.Context, query string, args []any) (int64, error) {
	if l.deferErr != nil {
		return 0, l.deferErr
	}
	s, err := l.w.stmt(query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (l *liteWriter) query(ctx context.Context, query string, args []any) (rows, error) {
	if l.deferErr != nil {
		return nil, l.deferErr
	}
	s, err := l.w.stmt(query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(ctx, args...)
}

// enqueue runs the statement at once: there is no round trip to save.
func (l *liteWriter) enqueue(query string, args []any) {
	if _, err := l.exec(context.Background(), query, args); err != nil {
		l.deferErr = err
	}
}
