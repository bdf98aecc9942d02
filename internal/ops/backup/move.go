package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// Move takes an installation from one database to another, of the same kind or not, with all sessions: nobody signs in again.
// The source takes no changes from the fence on, and none ever again once it says that it has moved. Killed on the way, it is
// run again and ends the same.
type Move struct {
	Source *db.DB
	// Target is where it goes: on PostgreSQL with the owner's URL. It must be empty.
	Target db.Config
	// To is what the source says of where it has moved to: one that was broken off goes on to there and nowhere else.
	To     string
	Events *event.Log
	By     By
	Now    func() time.Time
	// Wait waits; the tests' do not.
	Wait     func(ctx context.Context, d time.Duration) error
	Progress func(Progress)
}

// Moved is how a move went.
type Moved struct {
	Rows, Accounts, Sessions, Events int64
	// Fenced is for how long the source took no changes before it had moved.
	Fenced time.Duration
	// Log is what verifying the event log found; it has findings where that was tampered with before.
	Log event.Report
}

// contents are what a snapshot of the installation has.
type contents struct {
	rows     map[string]int64
	size     int64
	root     []byte
	verifier string
	note     string
	// generations count every refresh, of sessions and of what applications were granted: most that people do shows there or
	// in the events. It is a check of the fence, which is what keeps writes out.
	generations int64
}

var (
	// errSourceChanged is for a write that went through the fence.
	errSourceChanged = errors.New("the old database has changed although it takes no changes, or another gatehouse backup move has been at it: is there a " +
		"server of an older version? Stop all, and move again")
	errMovedContents = errors.New("the new database does not have what the old one has")
)

// movedBeside are the tables that a move takes and no backup has: what is theirs is of the installation, not of a moment.
var movedBeside = []string{"alert_delivery"}

// moves are the tables that a move takes.
func moves() (out []schema.Table) {
	for _, t := range schema.Tables {
		if t.Restore != schema.Absent || slices.Contains(movedBeside, t.Name) {
			out = append(out, t)
		}
	}
	return out
}

// Look counts what there is to move.
func (m *Move) Look(ctx context.Context) (out Moved, err error) {
	return out, m.Source.Snapshot(ctx, m.Now(), func(s *db.Snapshot) error {
		c, err := read(s)
		out = c.moved()
		return err
	})
}

func (c contents) moved() Moved {
	m := Moved{Accounts: c.rows["account"], Sessions: c.rows["session"], Events: c.rows["event"]}
	for _, n := range c.rows {
		m.Rows += n
	}
	return m
}

// read counts the rows of a snapshot, and reads the head of its event log.
func read(s *db.Snapshot) (c contents, err error) {
	c.rows = map[string]int64{}
	for _, t := range moves() {
		if c.rows[t.Name], err = s.Count(t.Name); err != nil {
			return c, err
		}
	}
	if err = s.Row(`SELECT size, root FROM event_head WHERE one = 1`, &c.size, &c.root); err != nil {
		return c, fmt.Errorf("the head of the event log: %w", err)
	}
	err = s.Row(`SELECT verifier FROM event_origin ORDER BY n DESC LIMIT 1`, &c.verifier)
	if err == nil || errors.Is(err, db.ErrNoRows) {
		err = s.Row(`SELECT note FROM event_checkpoint WHERE origin = (SELECT MAX(n) FROM event_origin) ORDER BY size DESC LIMIT 1`, &c.note)
	}
	if err == nil || errors.Is(err, db.ErrNoRows) {
		err = s.Row(`SELECT (SELECT COALESCE(SUM(gen), 0) FROM session) + (SELECT COALESCE(SUM(gen), 0) FROM client_grant)`, &c.generations)
	}
	return c, err
}

// Run moves. If it fails, the source takes changes again, unless it has moved already: then it is run again.
func (m *Move) Run(ctx context.Context) (*Moved, error) {
	past := db.PastFence(ctx)
	before, err := m.Source.Standing(ctx)
	if err != nil {
		return nil, err
	}
	if before.MovedTo != "" && before.MovedTo != m.To {
		return nil, movedAlready(before)
	}
	number := before.FencedAt
	if number == 0 {
		number = db.Micros(m.Now())
	}
	l, err := m.load(ctx, before, number)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	out, err := m.moved(past, l, before, number)
	if err == nil {
		return out, nil
	}
	// The context may be what ended it.
	lift, cancel := context.WithTimeout(db.PastFence(context.WithoutCancel(ctx)), db.MaxWrite)
	defer cancel()
	after, liftErr := m.lift(lift, number)
	switch {
	case liftErr != nil:
		err = fault.New(fault.Conflict, "move_unfinished", "The move failed, and the old database still takes no changes. Run the same command again, or give it "+
			"up: gatehouse backup move --abort.").Because(errors.Join(err, liftErr))
	case after.MovedTo == m.To:
		err = fault.New(fault.Conflict, "move_unfinished",
			"The old database has moved, and the new one is not ready yet. Run the same command again: it goes on.").Because(err)
	case after.MovedTo != "":
		err = movedAlready(after)
	}
	return nil, err
}

// movedAlready refuses to move what has moved, to somewhere else or wholly: a second database would be served from.
func movedAlready(s db.Standing) error {
	return fault.New(fault.Conflict, "moved", fmt.Sprintf("This installation has moved already, to %s. Set DATABASE_URL to that, and start the servers. "+
		"If the move there was broken off, run it again, to there. If that database is gone and nothing was ever served from it: "+
		"gatehouse backup move --abort --never-served.", s.MovedTo))
}

// load makes the schema in the target, before anything waits for it. Once the source has moved, it takes only what was being
// filled then: a target that is ready was served from, and would be a second one.
func (m *Move) load(ctx context.Context, before db.Standing, number int64) (*db.Loading, error) {
	m.Progress(Progress{Step: "preparing the new database"})
	// SQLite numbers events that may not be sealed behind all others: there are fewer than so many.
	const events = 1 << 32
	mark := fmt.Sprintf("%s%d", db.MoveMark, number)
	if before.MovedTo == "" {
		return db.Load(ctx, m.Target, mark, db.Newest(), events)
	}
	l, err := db.LoadOn(ctx, m.Target, mark, db.Newest(), events)
	if f := fault.As(err); f != nil && (f.Code == "target_not_empty" || f.Code == "target_not_begun" || f.Code == "restore_unfinished") {
		err = movedAlready(before)
	}
	return l, err
}

// moved does the rest, once there is somewhere to go.
func (m *Move) moved(ctx context.Context, l *db.Loading, before db.Standing, number int64) (*Moved, error) {
	if before.MovedTo == "" {
		if err := m.fence(ctx, number); err != nil {
			return nil, err
		}
	}
	var from contents
	err := m.Source.Snapshot(ctx, m.Now(), func(s *db.Snapshot) (err error) {
		if from, err = read(s); err == nil {
			err = m.copy(ctx, l, s, from)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	d, err := l.Open(ctx)
	if err != nil {
		return nil, err
	}
	out, err := m.settle(ctx, l, d, from, before, number)
	if err := errors.Join(err, d.Close()); err != nil {
		return nil, err
	}
	return out, l.Complete(ctx)
}

// fence raises the fence, or finds it raised by an earlier try, and waits until nobody writes.
func (m *Move) fence(ctx context.Context, number int64) error {
	err := m.Source.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE install SET fenced_at = $1 WHERE one = 1 AND fenced_at = 0`, number)
		return err
	})
	if err != nil {
		return err
	}
	if s, err := m.Source.Standing(ctx); err != nil || s.FencedAt != number {
		return errors.Join(err, fault.New(fault.Conflict, "fenced", "Another gatehouse backup move is under way."))
	}
	m.Progress(Progress{Step: "waiting for changes under way"})
	// In full, also where an earlier try has raised it: nobody knows when that was on disk.
	if err := m.Wait(ctx, db.FenceWait); err != nil {
		return err
	}
	quiet, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := m.Source.Quiet(quiet); err != nil {
		return fmt.Errorf("waiting for transactions that write: %w", err)
	}
	return nil
}

// lift lets the source take changes again, if it has not moved and the fence is this move's, and returns how it stands then.
func (m *Move) lift(ctx context.Context, number int64) (after db.Standing, err error) {
	err = m.Source.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE install SET fenced_at = 0 WHERE one = 1 AND fenced_at = $1 AND moved_to = ''`, number)
		return err
	})
	if err != nil {
		return after, err
	}
	return m.Source.Standing(ctx)
}

// Abort gives up a move that was broken off. With neverServed it takes back also one whose source says that it has moved: the
// operator vouches that the new database is gone, and that nothing was served from it.
func (m *Move) Abort(ctx context.Context, neverServed bool) error {
	vouched, n := 0, int64(0)
	if neverServed {
		vouched = 1
	}
	err := m.Source.Write(db.PastFence(ctx), func(tx *db.Tx) (err error) {
		n, err = tx.Exec(`UPDATE install SET fenced_at = 0, moved_to = '' WHERE one = 1 AND fenced_at <> 0 AND (moved_to = '' OR $1 = 1)`, vouched)
		return err
	})
	if err != nil || n == 1 {
		return err
	}
	s, err := m.Source.Standing(ctx)
	switch {
	case err != nil:
		return err
	case s.MovedTo != "":
		return movedAlready(s)
	}
	return fault.New(fault.Conflict, "not_moving", "No move of this installation is under way, and none was broken off: the database takes changes.")
}

// copy streams the tables from one database into the other.
func (m *Move) copy(ctx context.Context, l *db.Loading, s *db.Snapshot, from contents) error {
	of := from.moved().Rows
	done := int64(0)
	for _, t := range moves() {
		if err := l.Fits(ctx, t); err != nil {
			return err
		}
		step := "copying " + t.Name
		m.Progress(Progress{step, done, of})
		if err := m.table(ctx, l, s, t, from.rows[t.Name], func(rows int64) { m.Progress(Progress{step, done + rows, of}) }); err != nil {
			return err
		}
		done += from.rows[t.Name]
		if err := s.Room(); err != nil {
			return err
		}
	}
	return nil
}

// errRead is for a reader that ended before everything was written, as it does where the table is there already.
var errRead = errors.New("the rest is not wanted")

func (m *Move) table(ctx context.Context, l *db.Loading, s *db.Snapshot, t schema.Table, rows int64, tell func(rows int64)) error {
	r, w := io.Pipe()
	type copied struct {
		portable bool
		err      error
	}
	end := make(chan copied, 1)
	go func() {
		portable, err := s.Copy(t, w)
		_ = w.CloseWithError(err)
		end <- copied{portable, err}
	}()
	err := l.Part(ctx, db.LoadPart{Name: t.Name, Table: t, Rows: rows, Text: &counted{Reader: r, tell: tell}})
	_ = r.CloseWithError(errRead)
	c := <-end
	if err == nil && !errors.Is(c.err, errRead) {
		err = c.err
	}
	if err != nil && !c.portable && c.err == nil {
		err = fmt.Errorf("the table %s has text that is not UTF-8 or has a NUL, which PostgreSQL refuses: %w", t.Name, err)
	}
	return err
}

// counted counts the lines that go through.
type counted struct {
	io.Reader
	rows int64
	tell func(rows int64)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.rows += int64(bytes.Count(p[:n], []byte{'\n'}))
	c.tell(c.rows)
	return n, err
}

// settle holds the target against the source, has the source say that it has moved, and then makes the target one to be
// served.
func (m *Move) settle(ctx context.Context, l *db.Loading, d *db.DB, from contents, before db.Standing, number int64) (*Moved, error) {
	out := from.moved()
	if err := m.compare(ctx, d, from); err != nil {
		return nil, err
	}
	var err error
	out.Log, err = event.Verify(ctx, d, event.VerifyOptions{
		Key: from.verifier, Checkpoint: from.note,
		Progress: func(read, of int64) { m.Progress(Progress{"verifying the event log", read, of}) },
	})
	if err != nil {
		return nil, fmt.Errorf("verifying the event log: %w", err)
	}
	m.Progress(Progress{Step: "leaving the old database"})
	if before.MovedTo == "" {
		if err := m.leave(ctx, from, number); err != nil {
			return nil, err
		}
	}
	out.Fenced = m.Now().Sub(db.Time(number))
	m.Progress(Progress{Step: "opening the new database"})
	return &out, d.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(`UPDATE install SET fenced_at = 0, moved_to = '' WHERE one = 1`); err != nil {
			return err
		}
		m.Events.Append(tx, event.Event{
			Kind: event.DatabaseMoved, Outcome: event.Success, Origin: m.By.Origin, Detail: event.Detail{By: m.By.Who, Reason: string(d.Dialect())},
		})
		return l.Unmark(tx)
	})
}

// compare counts the rows of the target.
func (m *Move) compare(ctx context.Context, d *db.DB, from contents) error {
	m.Progress(Progress{Step: "comparing"})
	return d.Snapshot(ctx, m.Now(), func(s *db.Snapshot) error {
		to, err := read(s)
		if err != nil {
			return err
		}
		for name, n := range from.rows {
			if to.rows[name] != n {
				return fmt.Errorf("%w: the table %s has %d rows, of %d", errMovedContents, name, to.rows[name], n)
			}
		}
		if to.size != from.size || string(to.root) != string(from.root) || to.generations != from.generations {
			return fmt.Errorf("%w: the head of the event log, a session, or what an application was granted, is another", errMovedContents)
		}
		return nil
	})
}

// leave has the source say that it has moved, if the fence stood since it was raised and nothing was written meanwhile.
func (m *Move) leave(ctx context.Context, from contents, number int64) error {
	return m.Source.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(`UPDATE install SET moved_to = $1 WHERE one = 1 AND fenced_at = $2 AND moved_to = '' AND (SELECT COUNT(*) FROM event) = $3
			AND (SELECT COALESCE(SUM(gen), 0) FROM session) + (SELECT COALESCE(SUM(gen), 0) FROM client_grant) = $4`,
			m.To, number, from.rows["event"], from.generations)
		if err == nil && n == 0 {
			err = errSourceChanged
		}
		return err
	})
}
