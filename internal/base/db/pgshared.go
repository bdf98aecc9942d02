package db

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

var (
	// errApart is the error of a group of which nothing is in the database.
	errApart = errors.New("the shared transaction has failed: each is to run by itself")
	// errUncertain is that of a commit that was sent and not answered.
	errUncertain = errors.New("it is not known whether the commit succeeded")
)

const (
	// leastTime is what a caller must have left to share: a group ends when the time
	// of one of it does, and so little time may be a client's doing.
	leastTime = 2 * time.Second
	// regroupings is how often a group goes on without the member it failed of.
	regroupings = 2
)

func (p *postgres) writeShared(ctx context.Context, row string, fn func(*Tx) error) error {
	m := &member{ctx: ctx, row: row, fn: fn}
	if m.hurried() {
		return p.write(ctx, fn)
	}
	p.writes.do(m)
	switch {
	case !m.over:
		return errUncertain // its leader panicked
	case m.apart:
		return p.write(ctx, fn)
	case m.err == nil && m.tx != nil:
		m.tx.committed()
	}
	return m.err
}

func (p *postgres) readShared(ctx context.Context, fn func(*Tx) error) error {
	m := &member{ctx: ctx, fn: fn}
	if m.hurried() {
		return p.read(ctx, fn)
	}
	p.reads.do(m)
	if !m.over || m.apart {
		return p.read(ctx, fn)
	}
	return m.err
}

// hurried reports whether a caller has too little time left to share.
func (m *member) hurried() bool {
	d, ok := m.ctx.Deadline()
	return ok && time.Until(d) < leastTime
}

// runShared runs a group on one connection. If it fails of one member, that one is
// set apart and the others go on. A member that is alone goes as if it did not share.
func (p *postgres) runShared(group []*member, writing bool, alone func(context.Context, func(*Tx) error) error) {
	if len(group) == 1 {
		group[0].err = alone(group[0].ctx, group[0].fn)
		return
	}
	var rest []*member
	for _, m := range group {
		if m.apart = m.hurried() || m.ctx.Err() != nil; !m.apart {
			rest = append(rest, m)
		}
	}
	for try := 0; len(rest) > 0; try++ {
		culprit, err := p.runTogether(rest, writing)
		if err == nil {
			return
		}
		if culprit != nil && try < regroupings {
			culprit.apart = true
			rest = slices.DeleteFunc(rest, func(m *member) bool { return m == culprit })
			continue
		}
		for _, m := range rest {
			m.err, m.apart = err, errors.Is(err, errApart)
		}
		return
	}
}

// runTogether runs a group once. When it fails of one member, before anything is in
// the database, it returns that one.
func (p *postgres) runTogether(group []*member, writing bool) (culprit *member, err error) {
	// The members stay until the group is over, so it ends when the time of the
	// first of them does. The others then go by themselves.
	ctx := context.WithoutCancel(group[0].ctx)
	if at, ok := until(group); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, at)
		defer cancel()
	}
	c, err := p.acquire(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = errApart
		}
		return nil, err
	}
	defer p.release(c)
	s := &shared{conn: c.Conn(), writing: writing}
	if err = s.run(ctx, slices.Clone(group)); err == nil {
		return nil, nil
	}
	_ = p.lost(ctx, c, err)
	if s.committing && !errors.Is(err, errRolledBack) && !inTransaction(c.Conn()) {
		return nil, errors.Join(errUncertain, err)
	}
	(&pgTx{conn: c.Conn()}).rollback(ctx)
	if ctx.Err() != nil || c.Conn().IsClosed() {
		s.culprit = nil // no statement was to blame
	}
	return s.culprit, errApart
}

// inTransaction reports whether the server has said that the transaction is still
// open, or failed: then its COMMIT was not made. No error says so by itself: poolers
// send such as look like the server's when they lose it in the middle of a commit.
func inTransaction(c *pgx.Conn) bool {
	return !c.IsClosed() && !c.PgConn().IsBusy() && c.PgConn().TxStatus() != 'I'
}

// shared is one transaction of several callers, or several callers' reads. Their
// functions run as coroutines, one at a time: each stops at a statement whose
// answer it wants, and when all have stopped, their statements travel together.
// So callers of one query each, and of any number of deferred writes, take two
// round trips and one commit in all.
type shared struct {
	conn       *pgx.Conn
	writing    bool
	begun      bool    // BEGIN was sent
	committing bool    // COMMIT was sent
	culprit    *member // of whom it failed
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
			s.culprit = m
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
	end := &pgTx{conn: s.conn, begun: true}
	if !s.begun {
		end.queued = []statement{{query: "BEGIN"}, {query: lockTimeout}}
	}
	for _, t := range all {
		end.queued = append(end.queued, t.conn.queued...)
	}
	s.committing = true
	return end.commit(ctx)
}

// lockTimeout is so that who waits for a row that is held makes none wait with it.
const lockTimeout = `SET LOCAL lock_timeout = '100ms'`

// round sends what the members ask, lets each go on with its answer, and returns
// those that ask again.
func (s *shared) round(ctx context.Context, asking []*turn) (again []*turn, err error) {
	var b pgx.Batch
	begin := s.writing && !s.begun
	if begin {
		b.Queue("BEGIN")
		b.Queue(lockTimeout)
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
				s.culprit = t.member
				return nil, err
			}
		}
		t.conn.answer = res
		if err := t.proceed(); err != nil {
			s.culprit = t.member
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
