package db

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// postgres is the engine for PostgreSQL. A transaction's BEGIN travels with its
// first statement, and what was deferred travels with its COMMIT, so that a
// flow of one query and any number of writes takes two round trips, and one of
// writes alone takes one.
type postgres struct {
	pool  *pgxpool.Pool
	freed chan struct{} // wakes those who wait at a full server: a connection was given back
	// Callers that share.
	writes, reads gathering
}

func openPostgres(ctx context.Context, url string, maxConns int) (*postgres, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, badURL(err)
	}
	c.MaxConns = int32(min(maxConns, 1000)) //nolint:gosec // bounded
	c.MaxConnIdleTime = 5 * time.Minute
	c.PingTimeout = time.Second           // a connection that was idle may be dead without knowing
	if c.ConnConfig.ConnectTimeout == 0 { // connect_timeout, if the URL has one
		c.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	if c.ConnConfig.RuntimeParams["application_name"] == "" {
		c.ConnConfig.RuntimeParams["application_name"] = "gatehouse"
	}
	// What a database, a role or PGCLIENTENCODING says must not change what is stored.
	c.ConnConfig.RuntimeParams["client_encoding"] = "UTF8"
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, unavailable(err)
	}
	p := &postgres{pool: pool, freed: make(chan struct{}, c.MaxConns)}
	// While one group waits for the disk, the other's statements run. Reads wait for
	// nothing, and the more share a round trip the better.
	p.writes.atOnce, p.writes.run = 2, func(group []*member) { p.runShared(group, true, p.write) }
	p.reads.atOnce, p.reads.run = 1, func(group []*member) { p.runShared(group, false, p.read) }
	return p, nil
}

// badURL is the fault of a URL that the driver does not take, after the settings
// did. Its own text is kept from the caller, since it may quote the URL; a file's
// name is not secret.
func badURL(err error) error {
	text := "The database URL can't be understood: see the settings DATABASE_URL and MIGRATE_DATABASE_URL."
	var file *fs.PathError
	if errors.As(err, &file) {
		text = "A file that the database URL names (sslrootcert, sslcert, sslkey or passfile) can't be read. The user who runs gatehouse must be able to."
		return fault.New(fault.Invalid, "database_url", text).Because(file)
	}
	return fault.New(fault.Invalid, "database_url", text)
}

func (p *postgres) read(ctx context.Context, fn func(*Tx) error) error {
	c, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	defer p.release(c)
	pc := &pgTx{conn: c.Conn(), begun: true, reading: true}
	if err = fn(&Tx{ctx: ctx, conn: pc}); err == nil && pc.queued != nil {
		err = errDeferredInRead
	}
	return p.lost(ctx, c, err)
}

// lost marks the error if the connection broke, and not because the caller has
// no more time. The pool's others are likely to be broken as well: they are
// given up, so that the next try does not find one of them.
func (p *postgres) lost(ctx context.Context, c *pgxpool.Conn, err error) error {
	if err == nil || !c.Conn().IsClosed() || ctx.Err() != nil {
		return err
	}
	p.pool.Reset()
	return lostError{err}
}

func (p *postgres) write(ctx context.Context, fn func(*Tx) error) error {
	c, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	// Release closes a connection that is still in a transaction, so a panic in
	// fn or a failed rollback leaves nothing behind.
	defer p.release(c)
	pc := &pgTx{conn: c.Conn()}
	tx := &Tx{ctx: ctx, conn: pc}
	if err = fn(tx); err != nil {
		err = p.lost(ctx, c, err)
	} else {
		err = pc.commit(ctx)
	}
	if err != nil {
		pc.rollback(ctx)
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == "25006" {
			// This connection takes no writes. A new one may: the server may have been
			// promoted since, or the URL may name several and ask for one that does
			// (target_session_attrs). None of the old ones is worth keeping.
			_ = c.Conn().Close(context.WithoutCancel(ctx))
			p.pool.Reset()
			return lostError{err}
		}
		return err
	}
	tx.committed()
	return nil
}

// acquire takes a connection. When the server has none left for a pool that
// wants to grow, the caller waits for one of those that the pool has.
func (p *postgres) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	for {
		c, err := p.pool.Acquire(ctx)
		if err == nil {
			return c, nil
		}
		s := p.pool.Stat()
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "53300" || s.AcquiredConns()+s.IdleConns() == 0 {
			return nil, connectError{err, s.AcquiredConns() == s.MaxConns()}
		}
		select {
		case <-p.freed:
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return nil, connectError{err, true}
		}
	}
}

// release gives a connection back. One that broke is taken out of the pool and
// closed at once: the pool would keep its place for up to 15 s, while it tries
// to notify a server that may not hear.
func (p *postgres) release(c *pgxpool.Conn) {
	if c.Conn().IsClosed() {
		_ = c.Hijack().PgConn().Conn().Close()
		return
	}
	c.Release()
	select {
	case p.freed <- struct{}{}:
	default:
	}
}

func (p *postgres) stats() Stats {
	s := p.pool.Stat()
	return Stats{
		Max: int(s.MaxConns()), Open: int(s.TotalConns()), InUse: int(s.AcquiredConns()),
		Waits: s.EmptyAcquireCount(), Waited: s.EmptyAcquireWaitTime(),
	}
}

func (p *postgres) lately() error { return nil }

func (p *postgres) close() error {
	p.pool.Close()
	return nil
}

// pgTx is one transaction on PostgreSQL.
type pgTx struct {
	conn    *pgx.Conn
	begun   bool // BEGIN was sent, or is not wanted
	reading bool // in a Read: nothing may change
	queued  []statement
}

type statement struct {
	query string
	args  []any
}

func (t *pgTx) enqueue(query string, args []any) {
	t.queued = append(t.queued, statement{query, args})
}

// send puts BEGIN if it is due, all that is queued, and the last statements
// into one batch, and reads the answers of all but the last. The results are
// the caller's to close.
func (t *pgTx) send(ctx context.Context, last ...statement) (pgx.BatchResults, error) {
	var b pgx.Batch
	if !t.begun {
		b.Queue("BEGIN")
		t.begun = true
	}
	for _, s := range t.queued {
		b.Queue(s.query, s.args...)
	}
	t.queued = nil
	for _, s := range last {
		b.Queue(s.query, s.args...)
	}
	res := t.conn.SendBatch(ctx, &b)
	for range b.Len() - 1 {
		if _, err := res.Exec(); err != nil {
			_ = res.Close()
			return nil, err
		}
	}
	return res, nil
}

func (t *pgTx) exec(ctx context.Context, query string, args []any) (int64, error) {
	if t.reading {
		return 0, errExecInRead
	}
	res, err := t.send(ctx, statement{query, args})
	if err != nil {
		return 0, err
	}
	tag, err := res.Exec()
	if cerr := res.Close(); err == nil {
		err = cerr
	}
	return tag.RowsAffected(), err
}

func (t *pgTx) query(ctx context.Context, query string, args []any) (rows, error) {
	if t.begun && len(t.queued) == 0 {
		r, err := t.conn.Query(ctx, query, args...)
		if err != nil {
			return nil, err
		}
		return &pgRows{Rows: r}, nil
	}
	res, err := t.send(ctx, statement{query, args})
	if err != nil {
		return nil, err
	}
	r, err := res.Query()
	if err != nil {
		_ = res.Close()
		return nil, err
	}
	return &pgRows{Rows: r, batch: res}, nil
}

// flush sends what is still queued, outside a transaction of our own: the
// server makes one batch one transaction.
func (t *pgTx) flush(ctx context.Context) error {
	if len(t.queued) == 0 {
		return nil
	}
	last := t.queued[len(t.queued)-1]
	t.queued = t.queued[:len(t.queued)-1]
	_, err := t.exec(ctx, last.query, last.args)
	return err
}

func (t *pgTx) commit(ctx context.Context) error {
	if !t.begun {
		t.begun = true
		return t.flush(ctx)
	}
	res, err := t.send(ctx, statement{query: "COMMIT"})
	if err != nil {
		return err
	}
	tag, err := res.Exec()
	if cerr := res.Close(); err == nil && tag.String() != "COMMIT" {
		err = cerr
	}
	if err == nil && tag.String() != "COMMIT" {
		// A statement failed, its error was dropped, and the server rolled back.
		err = errRolledBack
	}
	return err // nil once the server has said COMMIT, whatever came after it
}

// rollback undoes what was begun. Its own failure needs no answer: a connection
// that is still in a transaction is closed when it is released.
func (t *pgTx) rollback(ctx context.Context) {
	if t.conn.IsClosed() || t.conn.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = t.conn.Exec(ctx, "ROLLBACK")
}

// pgRows closes the batch that it came in as well.
type pgRows struct {
	pgx.Rows
	batch pgx.BatchResults
}

func (r *pgRows) Close() error {
	r.Rows.Close()
	err := r.Err()
	if r.batch != nil {
		if cerr := r.batch.Close(); err == nil {
			err = cerr
		}
	}
	return err
}
