package alert

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// anchorLate is how long checkpoints may fail to reach the anchor.
const anchorLate = time.Minute

// page is how many events are read at once.
const page = 500

// Watcher reads the log and raises what the rules find. Any number of them may
// run at once: the state is only advanced by the one that read the latest.
type Watcher struct {
	DB         *db.DB
	Events     *event.Log
	Thresholds Thresholds
	// Sealing counts what is wrong with the sealing of the log.
	Sealing func() int64
	// Backups counts what is wrong with the backups; nil where there are none.
	Backups func(tx *db.Tx, now time.Time) (int64, error)
	// Retention counts what is wrong with retention; nil where that is not watched.
	Retention func(tx *db.Tx, now time.Time) (int64, error)
	// Posture counts the checks of the doctor that have turned; nil where that is not watched.
	Posture func(tx *db.Tx, now time.Time) (int64, error)
	// Approvals counts what waits for a second person to approve it; nil where that is not watched.
	Approvals func(tx *db.Tx, now time.Time) (int64, error)
	// Mail says whether mails are sent at all.
	Mail bool
	// Channels are the names of the channels that alerts are sent to.
	Channels []string
	// MailOut queues the mails about an alert, in the transaction; nil for none.
	MailOut func(tx *db.Tx, m Message) error
	Log     *slog.Logger
	Now     func() time.Time
}

// look is what one step reads.
type look struct {
	at, next int64
	engine   *Engine
	events   []event.Sealed
	open     map[string]Alert
	silent   map[string]time.Time
	mail     int64
	anchor   int64
	backups  int64
	retained int64
	posture  int64
	waiting  int64
	begun    bool // there is a state already
}

// Step reads what is new in the log, and raises and resolves alerts accordingly.
func (w *Watcher) Step(ctx context.Context) error {
	for {
		now := w.Now()
		l, err := w.read(ctx, now)
		if err != nil {
			return err
		}
		for _, e := range l.events {
			l.engine.Feed(e.Entry, now)
		}
		if len(l.events) < page {
			return w.settle(ctx, l, now)
		}
		// There is more: what has fired meanwhile counts, what is over does not yet.
		if err := w.settle(ctx, l, l.events[len(l.events)-1].Time); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

func (w *Watcher) read(ctx context.Context, now time.Time) (l look, err error) {
	err = w.DB.Read(ctx, func(tx *db.Tx) error {
		l = look{open: map[string]Alert{}}
		var text string
		if l.at, text, err = readState(tx); err != nil {
			return err
		}
		var state *State
		l.begun = text != ""
		if text != "" {
			if err := json.Unmarshal([]byte(text), &state); err != nil {
				return err
			}
		}
		l.engine = NewEngine(w.Thresholds, state, now)
		if l.events, l.next, err = w.Events.After(tx, l.at, page); err != nil {
			return err
		}
		open, err := List(tx, "", true, len(Rules))
		if err != nil {
			return err
		}
		for _, a := range open {
			l.open[a.Rule] = a
		}
		if l.engine.Canaries, err = canaries(tx); err != nil {
			return err
		}
		if l.silent, err = Silences(tx, now); err != nil {
			return err
		}
		if failing, err := event.AnchorFails(tx, anchorLate, now); err != nil {
			return err
		} else if failing {
			l.anchor = 1
		}
		for _, c := range []struct {
			count func(*db.Tx, time.Time) (int64, error)
			n     *int64
		}{{w.Backups, &l.backups}, {w.Retention, &l.retained}, {w.Posture, &l.posture}, {w.Approvals, &l.waiting}} {
			if c.count == nil {
				continue
			}
			if *c.n, err = c.count(tx, now); err != nil {
				return err
			}
		}
		if w.Mail {
			l.mail, err = mailTrouble(tx, now)
		}
		return err
	})
	return l, err
}

// settle writes what the rules say at a moment.
func (w *Watcher) settle(ctx context.Context, l look, now time.Time) error {
	verdicts, broken := l.engine.Judge(now)
	for name, n := range map[string]int64{
		SealingTroubled: w.Sealing(), AnchorTroubled: l.anchor, BackupTroubled: l.backups, RetentionLate: l.retained, MailTroubled: l.mail,
		PostureTurned: l.posture, ApprovalsWait: l.waiting,
	} {
		r, _ := ByName(name)
		v := Verdict{Rule: r, N: n, Bound: 1, At: now}
		verdicts = append(verdicts, v)
		if v.Broken() {
			broken[name] = v
		}
	}
	var over []Alert
	for _, v := range verdicts {
		if a, open := l.open[v.Rule.Name]; open && v.over() {
			over = append(over, a)
		} else if open && broken[v.Rule.Name].N <= a.N {
			delete(broken, v.Rule.Name) // known, and no worse
		}
	}
	if l.begun && l.next == l.at && len(broken) == 0 && len(over) == 0 {
		return nil
	}
	state, err := json.Marshal(l.engine.state)
	if err != nil {
		return err
	}
	return w.DB.Write(ctx, func(tx *db.Tx) error {
		if ours, err := writeState(tx, l.at, l.next, string(state)); err != nil || !ours {
			return err // another replica has read on, and raises
		}
		for _, v := range broken {
			if err := w.raise(tx, v, l.silent, now); err != nil {
				return err
			}
		}
		for _, a := range over {
			if err := w.resolve(tx, a, l.silent, now); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *Watcher) raise(tx *db.Tx, v Verdict, silent map[string]time.Time, now time.Time) error {
	a, raised, err := raise(tx, v, now)
	if err != nil || !raised {
		return err
	}
	tx.OnCommit(func() {
		w.Log.Warn("alert", "alert", a.Rule, "alert_id", a.ID, "state", Raised, "what", a.What, "look", a.Look)
	})
	if err := w.mail(tx, a, silent, now); err != nil {
		return err
	}
	return w.announce(tx, a, Raised, silent, now)
}

// mailEvery is how often an alert of one rule is mailed at most: one that comes and
// goes must not fill a mailbox, nor crowd out others.
const mailEvery = time.Hour

// mail queues the mails about an alert that was raised, in the transaction that
// raises it: so there is one, whichever replica watches.
func (w *Watcher) mail(tx *db.Tx, a Alert, silent map[string]time.Time, now time.Time) error {
	if _, quiet := silent[a.Rule]; quiet || w.MailOut == nil {
		return nil
	}
	due, err := mailDue(tx, a.Rule, now)
	if err != nil || !due {
		return err
	}
	return w.MailOut(tx, Message{ID: a.ID, About: Raised, Alert: a})
}

func (w *Watcher) resolve(tx *db.Tx, a Alert, silent map[string]time.Time, now time.Time) error {
	resolved, err := resolve(tx, a, now)
	if err != nil || !resolved {
		return err
	}
	tx.OnCommit(func() { w.Log.Warn("alert", "alert", a.Rule, "alert_id", a.ID, "state", Resolved) })
	return w.announce(tx, a, Resolved, silent, now)
}

// announce puts it into the queue of each channel.
func (w *Watcher) announce(tx *db.Tx, a Alert, about string, silent map[string]time.Time, now time.Time) error {
	if _, quiet := silent[a.Rule]; quiet {
		return nil
	}
	for _, c := range w.Channels {
		if err := queue(tx, a, about, c, now); err != nil {
			return err
		}
	}
	return nil
}
