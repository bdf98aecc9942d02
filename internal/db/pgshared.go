package db

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// errApart is the error of a group of which nothing is in the database.
var errApart = errors.New("what was shared has failed: each is to go by itself")

func (p *postgres) writeShared(ctx context.Context, row string, fn func(*Tx) error) error {
	return share(&p.writes, &member{ctx: ctx, row: row, fn: fn}, p.write)
}

func (p *postgres) readShared(ctx context.Context, fn func(*Tx) error) error {
	return share(&p.reads, &member{ctx: ctx, fn: fn}, p.read)
}

// share has m take part in a group, and go alone if that failed.
func share(g *gathering, m *member, alone func(context.Context, func(*Tx) error) error) error {
	g.do(m)
	if !m.over {
		return errUncertain // whoever led it panicked
	}
	if m.apart {
		return alone(m.ctx, m.fn)
	}
	if m.err == nil && m.tx != nil {
		m.tx.committed()
	}
	return m.err
}

func (p *postgres) runWrites(group []*member) {
	if len(group) == 1 {
		group[0].err = p.write(group[0].ctx, group[0].fn)
		return
	}
	p.runShared(group, true)
}

func (p *postgres) runReads(group []*member) {
	if len(group) == 1 {
		group[0].err = p.read(group[0].ctx, group[0].fn)
		return
	}
	p.runShared(group, false)
}

// runShared runs a group on one connection.
func (p *postgres) runShared(group []*member, writing bool) {
	// The members stay until the group is over, so it ends when the time of the
	// first of them does. The others then go by themselves.
	ctx := context.WithoutCancel(group[0].ctx)
	if at, ok := until(group); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, at)
		defer cancel()
	}
	err := p.runTogether(ctx, group, writing)
	if err != nil && ctx.Err() != nil && !errors.Is(err, errUncertain) {
		err = errApart
	}
	for _, m := range group {
		switch {
		case errors.Is(err, errApart):
			m.err, m.apart = nil, true
		case err != nil:
			m.err = err
		}
	}
}

// errUncertain is a commit that was sent, and not answered.
var errUncertain = errors.New("whether the commit was made is not known")

func (p *postgres) runTogether(ctx context.Context, group []*member, writing bool) error {
	c, err := p.acquire(ctx)
	if err != nil {
		return err
	}
	defer p.release(c)
	s := &shared{conn: c.Conn(), writing: writing}
	if err = s.run(ctx, slices.Clone(group)); err == nil {
		return nil
	}
	_ = p.lost(ctx, c, err)
	(&pgTx{conn: c.Conn()}).rollback(ctx)
	var pg *pgconn.PgError
	if s.committing && (!errors.As(err, &pg) || pg.Severity != "ERROR") {
		return errors.Join(errUncertain, err)
	}
	return errApart // nothing was committed, or the server says so
}

// shared is one transaction of several callers, or several callers' reads. Their
// functions run as coroutines, one at a time: each stops at a statement whose
// answer it wants, and when all have stopped, their statements travel together.
// So callers of one query each, and of any number of deferred writes, take two
// round trips and one commit in all.
type shared struct {
	conn       *pgx.Conn
	writing    bool
	begun      bool // BEGIN was sent
	committing bool // COMMIT was sent
}

func (s *shared) run(ctx context.Context, group []*member) error {
	// In one order, so that no two groups wait for each other's rows.
	slices.SortStableFunc(group, func(a, b *member) int { return cmp.Compare(a.row, b.row) })
	var all, asking []*turn
	defer func() {
		for _, t := range all {
			t.stop()
		}
	}()
	for _, m := range group {
		t := newTurn(m, s.writing)
		all = append(all, t)
		if err := t.proceed(); err != nil {
			return err
		}
		if t.asks != nil {
			asking = append(asking, t)
		}
	}
	for len(asking) > 0 {
		var err error
		if asking, err = s.round(ctx, asking); err != nil {
			return err
		}
	}
	if !s.writing {
		return nil
	}
	end := &pgTx{conn: s.conn, begun: s.begun}
	for _, t := range all {
		end.queued = append(end.queued, t.conn.queued...)
	}
	s.committing = true
	return end.commit(ctx)
}

// round sends what the members ask, lets each go on with its answer, and returns
// those that ask again.
func (s *shared) round(ctx context.Context, asking []*turn) (again []*turn, err error) {
	var b pgx.Batch
	begin := s.writing && !s.begun
	if begin {
		b.Queue("BEGIN")
		b.Queue(`SET LOCAL lock_timeout = '100ms'`) // who waits for a row that is held makes none wait with it
		s.begun = true
	}
	for _, t := range asking {
		for _, a := range t.asks {
			b.Queue(a.query, a.args...)
		}
	}
	res := s.conn.SendBatch(ctx, &b)
	defer func() {
		if cerr := res.Close(); err == nil {
			err = cerr
		}
	}()
	if begin {
		_, err := res.Exec()
		if _, serr := res.Exec(); err == nil {
			err = serr
		}
		if err != nil {
			return nil, err
		}
	}
	for _, t := range asking {
		for range len(t.asks) - 1 { // what was deferred
			if _, err := res.Exec(); err != nil {
				return nil, err
			}
		}
		t.conn.answer = res
		if err := t.proceed(); err != nil {
			return nil, err
		}
		if t.asks != nil {
			again = append(again, t)
		}
	}
	return again, nil
}

// turn is a member while its function runs.
type turn struct {
	*member
	conn *sharedConn
	asks []statement // what it waits for, the last with an answer; nil when it is over
	next func() ([]statement, bool)
	stop func()
}

func newTurn(m *member, writing bool) *turn {
	t := &turn{member: m, conn: &sharedConn{writing: writing}}
	t.next, t.stop = iter.Pull(func(yield func([]statement) bool) {
		panicked := true
		defer func() {
			if panicked {
				_ = recover() // it goes by itself, and panics there
				t.err = errApart
			}
		}()
		t.conn.ask = yield
		t.tx = &Tx{ctx: m.ctx, conn: t.conn}
		t.err = m.fn(t.tx)
		panicked = false
	})
	return t
}

// proceed runs the function until it asks for something, or is over. The error is
// that of a group that can't go on.
func (t *turn) proceed() error {
	asks, more := t.next()
	if more {
		t.asks = asks
		return nil
	}
	t.asks = nil
	// What it has written can't be undone without the others', nor can a failed
	// statement.
	if t.err != nil && (t.conn.writing || errors.Is(t.err, errApart)) || t.tx.failed != nil || !t.conn.writing && t.conn.queued != nil {
		return errApart
	}
	return nil
}

// sharedConn is the connection as one member sees it.
type sharedConn struct {
	writing bool
	queued  []statement
	ask     func([]statement) bool
	answer  pgx.BatchResults // to what was asked last
}

func (c *sharedConn) enqueue(query string, args []any) {
	c.queued = append(c.queued, statement{query, args})
}

// await stops until the statement's answer is there.
func (c *sharedConn) await(query string, args []any) error {
	asks := append(c.queued, statement{query, args}) //nolint:gocritic // it is the same list, which is given away
	c.queued = nil
	if !c.ask(asks) {
		return errApart
	}
	return nil
}

func (c *sharedConn) exec(_ context.Context, query string, args []any) (int64, error) {
	if !c.writing {
		return 0, errExecInRead
	}
	if err := c.await(query, args); err != nil {
		return 0, err
	}
	tag, err := c.answer.Exec()
	return tag.RowsAffected(), err
}

func (c *sharedConn) query(_ context.Context, query string, args []any) (rows, error) {
	if err := c.await(query, args); err != nil {
		return nil, err
	}
	r, err := c.answer.Query()
	if err != nil {
		return nil, err
	}
	return &pgRows{Rows: r}, nil
}
