package notice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/mail"
	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
)

// The timetable of delivery. A mail is tried MostTries times within about twelve
// hours; tries at which the server is not to be had do not count.
const (
	MostTries  = 20
	firstPause = 15 * time.Second
	mostPause  = time.Hour
	// lostPause is how long a mail waits whose answer was lost, and lostTries for how
	// many tries that counts: the server has it, as likely as not, so that it is sent
	// again MostLost times at most.
	lostPause = 30 * time.Minute
	MostLost  = 3
	lostTries = MostTries / (MostLost + 1)
	// doubtTries bounds the pause of a mail that is refused as long as it is not clear
	// whether the server means us: four minutes, so that it goes out soon after the mend.
	doubtTries = 5
	// lease is how long a replica that took mails has for them before others may. It
	// begins none when leaseWork is over, and holds on to the one that is being sent for
	// as long as that takes, which may be a quarter of an hour.
	lease     = 3 * time.Minute
	leaseWork = 2 * time.Minute
	batch     = 20
	// lookEvery is how often a replica looks for mails that another one queued, or that
	// are due again.
	lookEvery = 2 * time.Second
)

// Delivery sends the mails of the outbox. Every replica runs one.
type Delivery struct {
	DB     *db.DB
	Outbox *Outbox
	Texts  *Texts
	Sender *mail.Sender
	Log    *slog.Logger
	Now    func() time.Time
	Traces *trace.Tracer // nil for none
	// Look is how often to look for due mails, Pause the first pause after a server
	// that is away, and Renew how often the lease of a mail is renewed that takes long;
	// zero for the usual.
	Look, Pause, Renew time.Duration

	sent, failed, dead atomic.Int64

	mu       sync.Mutex
	unmarked map[string]time.Time // sent, and the row does not say so yet
	trouble  error                // why the server takes nothing now
	opening  time.Time            // since when a connection is being opened; zero for none
	doubt    doubt
}

// Run delivers until the context ends. A mail that is being handed over then is
// finished, or tried again by the next deliverer.
func (d *Delivery) Run(ctx context.Context) {
	first := orElse(d.Pause, time.Second)
	pause := first
	tick := time.NewTicker(orElse(d.Look, lookEvery))
	defer tick.Stop()
	for ctx.Err() == nil {
		n, err := d.Round(ctx)
		d.note(err)
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			pause = min(2*pause, time.Minute)
			continue
		}
		if pause = first; n > 0 {
			continue // there may be more
		}
		select {
		case <-ctx.Done():
		case <-d.Outbox.wake:
		case <-tick.C:
		}
	}
}

func orElse(a, b time.Duration) time.Duration {
	if a > 0 {
		return a
	}
	return b
}

// note keeps and logs why nothing is sent, once an outage.
func (d *Delivery) note(err error) {
	d.mu.Lock()
	before := d.trouble
	d.trouble = err
	d.mu.Unlock()
	switch {
	case err != nil && before == nil && !errors.Is(err, context.Canceled):
		d.Log.Warn("Mails can't be delivered now; they stay queued.", "error", err.Error())
	case err == nil && before != nil:
		d.Log.Info("Mails are delivered again.")
	}
}

// Trouble returns why this replica can't deliver now, or nil.
func (d *Delivery) Trouble() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.trouble != nil:
		return d.trouble
	case d.doubt.refusal != nil:
		return d.doubt.refusal
	case !d.opening.IsZero() && time.Since(d.opening) > silence:
		return errSilent
	}
	return nil
}

// silence is how long a server may take to open a connection before Trouble says so;
// it has minutes by RFC 5321.
const silence = 20 * time.Second

var errSilent = errors.New("the mail server does not greet")

// open opens a connection, which may take minutes.
func (d *Delivery) open(ctx context.Context) (*mail.Conn, error) {
	d.mu.Lock()
	d.opening = time.Now()
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.opening = time.Time{}
		d.mu.Unlock()
	}()
	return d.Sender.Open(ctx)
}

// Counts returns how many mails this replica has sent, how many tries failed, and
// how many mails it gave up.
func (d *Delivery) Counts() (sent, failed, dead int64) {
	return d.sent.Load(), d.failed.Load(), d.dead.Load()
}

// due is a mail that was taken.
type due struct {
	id      string
	sealed  []byte
	tries   int
	created time.Time
	lease   int64 // due_at, as it was found and then as it was put off
}

// Round takes mails that are due and sends them, and returns how many it took. An
// error is the database's, or the server's for all mails.
func (d *Delivery) Round(ctx context.Context) (int, error) {
	if err := d.mark(ctx); err != nil {
		return 0, err
	}
	list, err := d.take(ctx)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	left, err := d.sendAll(ctx, d.undoubtedFirst(list))
	if len(left) > 0 {
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, d.giveBack(back, left))
	}
	return len(list), err
}

// take takes the mails that are due: their next try is put off until the lease is
// over. The rows are locked in the order of their ids, so that two replicas never
// wait for each other, and the loser of a race sees that a row is not due as it was.
func (d *Delivery) take(ctx context.Context) (taken []due, err error) {
	now := d.Now()
	list, over, err := d.look(ctx, now)
	if err != nil {
		return nil, err
	}
	if over {
		if err := Expire(ctx, d.DB, now); err != nil {
			return nil, err
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	until := db.Micros(now.Add(lease))
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		taken = nil
		for _, m := range list {
			n, err := tx.Exec(`UPDATE outbox SET due_at = $3, tries = tries + 1 WHERE id = $1 AND due_at = $2`, m.id, m.lease, until)
			if err != nil {
				return err
			}
			if n == 1 {
				m.lease, m.tries = until, m.tries+1
				taken = append(taken, m)
			}
		}
		return nil
	})
	return taken, err
}

// look returns the mails that are due, in the order of their ids, and whether some
// are of no use any more.
func (d *Delivery) look(ctx context.Context, now time.Time) (list []due, over bool, err error) {
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		list, over = nil, false
		rows, err := tx.Query(`SELECT id, sealed, tries, created_at, due_at, COALESCE(until_at, 0) FROM outbox WHERE due_at <= $1
			AND (until_at <= $1 OR NOT EXISTS (SELECT 1 FROM mail_hold WHERE account_id = outbox.account_id)) ORDER BY due_at LIMIT $2`,
			db.Micros(now), batch)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var m due
			var created, until int64
			if err := rows.Scan(&m.id, &m.sealed, &m.tries, &created, &m.lease, &until); err != nil {
				return err
			}
			if until > 0 && until <= db.Micros(now) {
				over = true
				continue
			}
			m.created = db.Time(created)
			list = append(list, m)
		}
		return rows.Err()
	})
	slices.SortFunc(list, func(a, b due) int { return strings.Compare(a.id, b.id) })
	return list, over, err
}

// sendAll sends the mails over one connection as long as that holds, and returns
// those that it did not come to.
func (d *Delivery) sendAll(ctx context.Context, list []due) (left []due, err error) {
	var conn *mail.Conn
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	began := time.Now()
	for i, m := range list {
		if ctx.Err() != nil || time.Since(began) > leaseWork {
			return list[i:], nil
		}
		if conn != nil && conn.Broken() {
			conn.Close()
			conn = nil
		}
		if conn == nil {
			if conn, err = d.open(ctx); err != nil {
				return list[i:], err
			}
		}
		err := d.send(ctx, conn, m)
		var f *mail.Failure
		if errors.As(err, &f) && f.Away {
			return list[i:], err
		}
		if err != nil {
			return list[i+1:], err
		}
	}
	return nil, nil
}

// send sends one mail and writes down what became of it.
func (d *Delivery) send(ctx context.Context, conn *mail.Conn, m due) error {
	if d.isUnmarked(m.id) {
		return nil // the row's next look says so
	}
	// To open a connection may have taken longer than the lease.
	if m.lease-db.Micros(d.Now()) < (lease - leaseWork).Microseconds() {
		if held, err := d.renew(ctx, &m); err != nil || !held {
			return err
		}
	}
	ctx, step := d.Traces.Work(ctx, "mail.deliver")
	text, kind, err := d.compose(m)
	step.Set("mail.kind", string(kind))
	step.SetInt("tries", m.tries)
	defer func() { step.End(err) }()
	if err == nil {
		release := d.hold(ctx, &m)
		err = conn.Send(text)
		release()
	} else {
		err = unreadable{err}
	}
	var f *mail.Failure
	var broken unreadable
	if errors.As(err, &f) && f.Lost {
		m.tries += lostTries - 1
		err = fmt.Errorf("the answer was lost, and the mail server may have taken it: %w", err)
	}
	switch {
	case err == nil:
		d.sent.Add(1)
		d.taken(m.id)
		// The smaller the time between the server's word and this, the fewer mails
		// come twice after a crash.
		return d.mark(context.WithoutCancel(ctx))
	case errors.As(err, &f) && f.Away:
		d.failed.Add(1)
		return err
	case errors.As(err, &f) && f.Doubted && !d.ownFault(m.id):
		d.failed.Add(1)
		return d.refused(context.WithoutCancel(ctx), m, f)
	case errors.As(err, &broken), errors.As(err, &f) && (f.Never || f.Doubted), m.tries >= MostTries:
		d.failed.Add(1)
		d.dead.Add(1)
		d.Log.Warn("A mail was given up: see gatehouse mail list --dead.", "mail", m.id, "kind", string(kind), "tries", m.tries, "error", err.Error())
		return d.giveUp(context.WithoutCancel(ctx), m, err.Error())
	}
	d.failed.Add(1)
	pause := pauseAfter(m.tries)
	if f != nil && f.Lost {
		pause = lostPause
	}
	return d.putOff(context.WithoutCancel(ctx), m, pause, err.Error())
}

// taken notes that the mail server took a mail, which is not yet marked as sent.
func (d *Delivery) taken(id string) {
	d.mu.Lock()
	if d.unmarked == nil {
		d.unmarked = map[string]time.Time{}
	}
	d.unmarked[id] = d.Now()
	again := d.doubt.taken()
	d.mu.Unlock()
	if again {
		d.Log.Info("The mail server accepts mails again.")
	}
}

// unreadable is a row that no mail can be made of.
type unreadable struct{ error }

func (d *Delivery) compose(m due) (out mail.Message, kind Kind, err error) {
	in, err := d.Outbox.open(m.id, m.sealed)
	if err != nil {
		return out, "", err
	}
	r, err := d.Texts.Render(in)
	if err != nil {
		return out, in.Kind, err
	}
	return mail.Message{ID: m.id, To: in.To, Subject: r.Subject, Text: r.Text, HTML: r.HTML, Date: m.created, Language: r.Language}, in.Kind, nil
}

func (d *Delivery) isUnmarked(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.unmarked[id]
	return ok
}

// mark writes down which mails were sent: the rows forget what they said and to
// whom. If the database is away it is done before anything else is sent.
func (d *Delivery) mark(ctx context.Context) error {
	d.mu.Lock()
	list := maps.Clone(d.unmarked)
	d.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := d.DB.Write(ctx, func(tx *db.Tx) error {
		for _, id := range slices.Sorted(maps.Keys(list)) {
			tx.Defer(`UPDATE outbox SET sent_at = $2, due_at = NULL, until_at = NULL, sealed = NULL, sent_to = '', error = '' WHERE id = $1`, id, db.Micros(list[id]))
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range list {
		delete(d.unmarked, id)
	}
	return nil
}

// pauseAfter is how long a mail waits after its nth try: it doubles up to an hour.
func pauseAfter(tries int) time.Duration {
	if tries > 8 {
		return mostPause
	}
	return min(mostPause, firstPause<<(tries-1))
}

// putOff puts the next try off.
func (d *Delivery) putOff(ctx context.Context, m due, pause time.Duration, why string) error {
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		tx.Defer(`UPDATE outbox SET due_at = $3, error = $4, tries = $5 WHERE id = $1 AND due_at = $2`, m.id, m.lease, db.Micros(d.Now().Add(pause)), why, m.tries)
		return nil
	})
}

// giveUp makes the mail a dead letter, which an operator can send again.
func (d *Delivery) giveUp(ctx context.Context, m due, why string) error {
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		tx.Defer(`UPDATE outbox SET due_at = NULL, dead_at = $3, error = $4 WHERE id = $1 AND due_at = $2`, m.id, m.lease, db.Micros(d.Now()), why)
		return nil
	})
}

// giveBack makes mails due again that were not tried.
func (d *Delivery) giveBack(ctx context.Context, list []due) error {
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		for _, m := range list {
			tx.Defer(`UPDATE outbox SET due_at = $3, tries = tries - 1 WHERE id = $1 AND due_at = $2`, m.id, m.lease, db.Micros(d.Now()))
		}
		return nil
	})
}
