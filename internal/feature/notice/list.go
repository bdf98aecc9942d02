package notice

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Entry is a row of the outbox, without what it says.
type Entry struct {
	ID, Kind, Account string
	To                string // empty once sent or over
	QueuedAt          time.Time
	// DueAt is the next try, if there is to be one; SentAt and DeadAt are what became
	// of it.
	DueAt, SentAt, DeadAt time.Time
	// Retriable is whether a dead letter can be sent again.
	Retriable bool
	Tries     int
	Error     string // of the last try
}

// State is waiting, sent, dead, or expired.
func (e Entry) State() string {
	switch {
	case !e.SentAt.IsZero():
		return "sent"
	case !e.DeadAt.IsZero() && e.Retriable:
		return "dead"
	case !e.DeadAt.IsZero():
		return "expired"
	}
	return "waiting"
}

// List returns up to limit rows, the newest first; only those that are dead if
// that is asked for.
func List(tx *db.Tx, dead bool, limit int) (list []Entry, err error) {
	return Page(tx, "", dead, limit)
}

// Page is List for those before the row of an id, if that is not empty.
func Page(tx *db.Tx, before string, dead bool, limit int) (list []Entry, err error) {
	if before == "" {
		before = "g" // after every id, which is hexadecimal, in any collation
	}
	rows, err := tx.Query(`SELECT id, kind, account_id, sent_to, created_at, COALESCE(due_at, 0), COALESCE(sent_at, 0), COALESCE(dead_at, 0),
		CASE WHEN sealed IS NULL THEN 0 ELSE 1 END, tries, error FROM outbox
		WHERE id < $3 AND ($1 = 0 OR dead_at IS NOT NULL AND sealed IS NOT NULL) ORDER BY id DESC LIMIT $2`, flag(dead), limit, before)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e Entry
		var queued, due, sent, gone int64
		var sealed int
		if err := rows.Scan(&e.ID, &e.Kind, &e.Account, &e.To, &queued, &due, &sent, &gone, &sealed, &e.Tries, &e.Error); err != nil {
			return nil, err
		}
		e.QueuedAt, e.DueAt, e.SentAt, e.DeadAt, e.Retriable = db.Time(queued), timeOf(due), timeOf(sent), timeOf(gone), sealed == 1
		list = append(list, e)
	}
	return list, rows.Err()
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func timeOf(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return db.Time(micros)
}

// ErrNotWaiting is for a mail that can't be sent again: there is none of this id,
// or it was sent, or is over.
var ErrNotWaiting = fault.New(fault.NotFound, "mail_not_found", "There is no waiting or failed mail with this id.")

// Retry makes a mail due at once, with all its tries before it.
func Retry(tx *db.Tx, id string, now time.Time) error {
	n, err := tx.Exec(`UPDATE outbox SET due_at = $2, dead_at = NULL, tries = 0 WHERE id = $1 AND sealed IS NOT NULL AND sent_at IS NULL`, id, db.Micros(now))
	if err == nil && n == 0 {
		err = ErrNotWaiting
	}
	return err
}

// RetryDead does so for all that were given up, and returns how many they are.
func RetryDead(tx *db.Tx, now time.Time) (int64, error) {
	return tx.Exec(`UPDATE outbox SET due_at = $1, dead_at = NULL, tries = 0 WHERE dead_at IS NOT NULL AND sealed IS NOT NULL`, db.Micros(now))
}

// Shown is a mail as /dev/mail shows it.
type Shown struct {
	Entry
	Rendered
}

// Open returns the newest mails with what they say.
func (o *Outbox) Open(tx *db.Tx, x *Texts, limit int) (list []Shown, err error) {
	entries, err := List(tx, false, limit)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		var sealed []byte
		if err := tx.QueryRow(`SELECT sealed FROM outbox WHERE id = $1`, e.ID).Scan(&sealed); err != nil {
			return nil, err
		}
		if sealed == nil {
			continue
		}
		m, err := o.open(e.ID, sealed)
		if err != nil {
			return nil, err
		}
		r, err := x.Render(m)
		if err != nil {
			return nil, err
		}
		list = append(list, Shown{e, r})
	}
	return list, nil
}

// Fate is what became of mails: Sent were taken by a mail server, Waiting are still to be, Dead were given up.
type Fate struct{ Sent, Waiting, Dead int64 }

// FateOf counts what became of the mails of a kind that were queued since a time; those that were sent are forgotten after a while.
func FateOf(tx *db.Tx, kind Kind, since time.Time) (d Fate, err error) {
	err = tx.QueryRow(`SELECT COUNT(sent_at), COUNT(due_at), COUNT(dead_at) FROM outbox WHERE kind = $1 AND created_at >= $2`,
		string(kind), db.Micros(since)).Scan(&d.Sent, &d.Waiting, &d.Dead)
	return d, err
}
