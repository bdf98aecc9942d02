package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
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
	// groupTime bounds the work before a commit, so that the first of a group does
	// not wait for the last.
	groupTime time.Duration
	wrote     atomic.Bool // something was committed since the last checkpoint
	// damaged is set for good when the file is found to be damaged: what is broken
	// must not be written to, or the last copy that could be mended is lost.
	damaged atomic.Bool
	failed  atomic.Pointer[failure] // the last that was the disk's

	closing sync.RWMutex // held for reading by those who send to the queue
	closed  bool
	done    chan struct{}
}

const (
	// groupSize is the most callers that share a commit.
	groupSize = 128
	// lockWait is how long a caller waits while another process holds the lock on
	// the file: less than readyz waits, so that it can name it. lockPoll how often the lock is tried at the longest.
	lockWait = 1500 * time.Millisecond
	lockPoll = 25 * time.Millisecond
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
	since   time.Time // when it was asked for
	stage   atomic.Int32
}

// The stages of a write. A caller whose time is over leaves one that waits, and
// it is never run; or one that was run and is not committed yet, and nobody is
// notified how that ends. It stays while its function runs, which works on what is
// the caller's.
const (
	waiting int32 = iota
	running
	ran
	left
)

// leave is the caller's, who has no more time. It reports whether the caller
// may go.
func (j *write) leave() bool {
	return j.stage.CompareAndSwap(waiting, left) || j.stage.CompareAndSwap(ran, left)
}

func openWriter(ctx context.Context, path string) (*writer, error) {
	d, err := sql.Open("sqlite", sqliteDSN(path, lockWait, "secure_delete(1)")) // what was deleted is overwritten (GDPR-3)
	if err != nil {
		return nil, err
	}
	d.SetMaxOpenConns(1)
	c, err := d.Conn(ctx)
	// Turning the write-ahead log on, in a file that several processes open for the
	// first time, fails at once rather than waiting its turn.
	for began := time.Now(); isLocked(err) && time.Since(began) < lockWait && ctx.Err() == nil; {
		time.Sleep(10 * time.Millisecond)
		c, err = d.Conn(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the SQLite database: %w", err), d.Close())
	}
	// From here on the writer itself waits for locks: SQLite would make one caller
	// after the other wait its full time.
	if _, err := c.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	w := &writer{db: d, conn: c, stmts: map[string]*sql.Stmt{}, queue: make(chan *write, groupSize), groupTime: 20 * time.Millisecond, done: make(chan struct{})}
	go w.loop()
	return w, nil
}

// do runs fn in a transaction and returns when it is on disk. If fn panics, so
// does do, in the caller's goroutine.
func (w *writer) do(ctx context.Context, fn func(*Tx) error) error {
	return w.send(&write{ctx: ctx, fn: fn, done: make(chan struct{}), since: time.Now()})
}

// between runs fn on the writing connection while no transaction is open.
func (w *writer) between(fn func(context.Context, *sql.Conn) error) error {
	return w.send(&write{ctx: context.Background(), between: fn, done: make(chan struct{}), since: time.Now()})
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
	if err := job.wait(); err != nil {
		return err
	}
	if job.panic != nil {
		panic(job.panic)
	}
	if job.err == nil && job.tx != nil {
		job.tx.committed()
	}
	return job.err
}

// wait returns nil when the job was answered, or the context's error if the
// caller's time was over before: then it can't be known whether the change was
// made, as with a connection that breaks during a commit.
func (j *write) wait() error {
	select {
	case <-j.done:
		return nil
	case <-j.ctx.Done():
	}
	left := j.leave()
	for !left {
		// Its function is running, or the answer is there.
		select {
		case <-j.done:
			return nil
		case <-time.After(time.Millisecond):
			left = j.leave()
		}
	}
	go func() {
		<-j.done
		if j.panic == nil && j.err == nil && j.tx != nil {
			j.tx.committed()
		}
	}()
	return j.ctx.Err()
}

// wroteSince reports whether anything was committed since it was last called.
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
	if w.damaged.Load() {
		// The last connection to close copies the log into the file. This one stays
		// until the process ends, and both stay as they are.
		return
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
	members, after, err := w.begin(first)
	for i := 0; err == nil && i < len(members); i++ {
		err = w.savepoint(members[i])
	}
	for began := time.Now(); err == nil && after == nil; {
		job := w.next(len(members), began)
		if job == nil {
			break
		}
		if job.between != nil {
			after = job
			break
		}
		members = append(members, job)
		err = w.savepoint(job)
	}
	if err == nil {
		err = w.run("COMMIT")
	}
	if err != nil {
		// Whatever it was, none of it is on disk. ROLLBACK fails if SQLite has
		// rolled back by itself, which is as good.
		_ = w.run("ROLLBACK")
		w.note(err)
	} else {
		w.wrote.Store(true)
	}
	for _, job := range members {
		// Those too that failed by themselves: it may have been because of what a
		// neighbour had written, which now is not there.
		if err != nil && job.panic == nil {
			job.err = err
		}
		close(job.done)
	}
	if after != nil {
		w.alone(after)
	}
}

// begin opens the transaction, and returns the jobs that have gathered while
// another process held the lock on the file, save those that it had to turn
// away because their time was over.
func (w *writer) begin(first *write) (members []*write, after *write, err error) {
	members = []*write{first}
	poll := time.Millisecond
	for {
		if w.damaged.Load() {
			return members, after, errDamaged
		}
		err = w.run("BEGIN IMMEDIATE")
		if err == nil || !isLocked(err) {
			return members, after, err
		}
		time.Sleep(poll)
		poll = min(2*poll, lockPoll)
		for after == nil && len(members) < groupSize {
			job := w.next(0, time.Now())
			if job == nil {
				break
			}
			if job.between != nil {
				after = job
				break
			}
			members = append(members, job)
		}
		members = slices.DeleteFunc(members, func(job *write) bool {
			over := time.Since(job.since) > lockWait
			if over || job.ctx.Err() != nil {
				job.err = err
				close(job.done)
				return true
			}
			return false
		})
		if len(members) == 0 {
			return nil, after, err
		}
	}
}

// failure is what a write failed of, and when.
type failure struct {
	at  time.Time
	err error
}

// failedFor is how long a failure of the disk counts in the check.
const failedFor = 3 * time.Second

// note keeps what the error says of the file and the disk.
func (w *writer) note(err error) {
	if isDamage(err) {
		w.damaged.Store(true)
	}
	if isLite(err, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY) {
		w.failed.Store(&failure{time.Now(), err})
	}
}

// alone runs a job that wants no transaction.
func (w *writer) alone(job *write) {
	if w.damaged.Load() {
		job.err = errDamaged
		close(job.done)
		return
	}
	job.err = job.between(context.Background(), w.conn)
	close(job.done)
}

// next returns the next waiting job, or nil if the group is to be committed.
func (w *writer) next(members int, began time.Time) *write {
	if members >= groupSize || time.Since(began) > w.groupTime {
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
	if !job.stage.CompareAndSwap(waiting, running) {
		return nil // its caller has left
	}
	defer job.stage.CompareAndSwap(running, ran)
	if job.err = job.ctx.Err(); job.err != nil {
		return nil
	}
	if err := w.run("SAVEPOINT job"); err != nil {
		return err
	}
	w.call(job)
	if isDamage(job.err) {
		return job.err // nothing of this group is written to such a file
	}
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
