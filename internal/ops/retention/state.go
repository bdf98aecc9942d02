package retention

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/hold"
)

// Standing is how retention stands.
type Standing struct {
	// Ran is when the last whole run ended, zero if there was none, and Deleted what it
	// deleted.
	Ran     time.Time
	Deleted []event.Deleted
	// Began is when the run began that is under way, or was broken off; zero if there is none. Deleting
	// is what it has deleted.
	Began    time.Time
	Deleting []event.Deleted
	// Looked is when a run last looked at the clock, and Wait until when nothing is deleted
	// since it leapt; zero if it did not.
	Looked, Wait time.Time
	// Failures is how many runs in a row have failed, and Error why the last one did.
	Failures int
	Error    string
	// Brake is why no inactive account goes until somebody says so: late or many; empty if nothing has
	// stopped that.
	Brake string
	// Hold is the hold that stands; nil if none does.
	Hold *hold.Hold
}

// Stand reads it.
func Stand(tx *db.Tx, now time.Time) (s Standing, err error) {
	h, stands, err := hold.Standing(tx, now)
	if err != nil {
		return s, err
	}
	if stands {
		s.Hold = &h
	}
	idle, err := readIdle(tx)
	if err != nil {
		return s, err
	}
	s.Brake = idle.Brake
	var (
		began, ran, looked, wait int64
		deleting, deleted        string
	)
	err = tx.QueryRow(`SELECT began_at, deleting, ran_at, deleted, looked_at, wait_until, failures, error FROM retention WHERE one = 1`).
		Scan(&began, &deleting, &ran, &deleted, &looked, &wait, &s.Failures, &s.Error)
	if errors.Is(err, db.ErrNoRows) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.Began, s.Ran, s.Looked, s.Wait = known(began), known(ran), known(looked), known(wait)
	if err := json.Unmarshal([]byte(deleting), &s.Deleting); err != nil {
		return s, fmt.Errorf("what a run of retention has deleted: %w", err)
	}
	if err := json.Unmarshal([]byte(deleted), &s.Deleted); err != nil {
		return s, fmt.Errorf("what the last run of retention deleted: %w", err)
	}
	return s, nil
}

// standLocked reads it with the row's lock, which is kept until the transaction ends.
func standLocked(tx *db.Tx, now time.Time) (Standing, error) {
	if _, err := tx.Exec(`INSERT INTO retention (one, began_at, deleting, ran_at, deleted, looked_at, wait_until, failures, error)
		VALUES (1, 0, '[]', 0, '[]', 0, 0, 0, '') ON CONFLICT (one) DO UPDATE SET one = 1`); err != nil {
		return Standing{}, err
	}
	return Stand(tx, now)
}

func known(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return db.Time(micros)
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return db.Micros(t)
}

// Late is how long after the last run one is overdue.
const Late = 26 * time.Hour

// Trouble counts what an operator should mend: runs fail, none has ended for a day, or a brake has stopped the deletion of accounts. A hold is no
// trouble.
func (s Standing) Trouble(now time.Time) int64 {
	if s.Hold != nil {
		return 0
	}
	if s.Brake != "" || s.Failures >= 3 || !s.Ran.IsZero() && now.Sub(s.Ran) > Late {
		return 1
	}
	return 0
}

// due reports whether a run is due by the timetable.
func (s Standing) due(now time.Time) bool {
	if s.Hold != nil {
		return false
	}
	if s.Failures > 0 || s.Wait.After(now) {
		return now.Sub(s.Looked) >= retry || s.Looked.After(now)
	}
	// A time to come was written by a clock that was wrong.
	return s.Ran.IsZero() || now.Sub(s.Ran) >= Every || s.Ran.After(now)
}

// leapt is how long after the last look nothing is believed of the clock at once, and
// settles for how long it must then go on without a leap before anything is deleted.
const (
	leapt   = 24 * time.Hour
	settles = 24 * time.Hour
	slack   = time.Hour
)

// look notes a look at the clock, and says until when nothing is to be deleted: whoever
// deletes by a clock that has leapt ahead deletes what should stay, and nobody gets it back. The first look of all is believed.
func (s *Standing) look(now time.Time) {
	ahead := now.Sub(s.Looked)
	if !s.Looked.IsZero() && (ahead > leapt || ahead < -slack || s.Wait.Sub(now) > settles) {
		s.Wait = now.Add(settles)
	}
	s.Looked = now
	if !s.Wait.After(now) {
		s.Wait = time.Time{}
	}
}

// write writes it. The row is locked, and there.
func (s Standing) write(tx *db.Tx) error {
	_, err := tx.Exec(`UPDATE retention SET began_at = $1, deleting = $2, ran_at = $3, deleted = $4, looked_at = $5, wait_until = $6, failures = $7, error = $8
		WHERE one = 1`,
		micros(s.Began), tallied(s.Deleting), micros(s.Ran), tallied(s.Deleted), micros(s.Looked), micros(s.Wait), s.Failures, s.Error)
	return err
}

// tallied is a tally as it is kept.
func tallied(list []event.Deleted) string {
	if len(list) == 0 {
		return "[]"
	}
	b, err := json.Marshal(list)
	if err != nil {
		panic(fmt.Sprintf("retention: a tally can't be encoded: %v", err)) // words and numbers
	}
	return string(b)
}

// plus returns the tally with so many more of a kind.
func plus(list []event.Deleted, kind string, n int64) []event.Deleted {
	out := make([]event.Deleted, 0, len(list)+1)
	found := n == 0
	for _, d := range list {
		if d.Kind == kind {
			d.Count, found = d.Count+n, true
		}
		out = append(out, d)
	}
	if !found {
		out = append(out, event.Deleted{Kind: kind, Count: n})
	}
	return out
}

// Total is how many things a tally has.
func Total(list []event.Deleted) (n int64) {
	for _, d := range list {
		n += d.Count
	}
	return n
}
