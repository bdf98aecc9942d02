// Package incident is the bad day as rows: incidents with their timeline, what was done to contain each, whom it
// touched, and the checklist. What is done about one is package respond; this package says what stands where.
//
// # How it works
//
// The number is counted in the row of install, so two that are opened at once wait for one another and no number is
// missing. An action is a row before it does anything. What takes many transactions names in each of them the place that
// it has read ([Advance]): whoever was faster has moved it, so a run that was killed, and one that goes on beside it, do
// everything once. People whom an action is about are rows of their own, so that an erasure finds them.
package incident

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Notice is how long the authority may be left without word of a breach, from when those who run the service know of it:
// GDPR, article 33(1).
const Notice = 72 * time.Hour

// Incident is one. Times that are not known yet are zero.
type Incident struct {
	ID string
	N  int64
	// Title is what it is called, in one line; Alert the rule whose alert it was opened from, or empty.
	Title, Alert string
	// BeganAt is when the attack began, AwareAt when those who run the service came to know of it.
	BeganAt, AwareAt, OpenedAt time.Time
	ContainedAt, RecoveredAt   time.Time
	ClosedAt                   time.Time
	// Lessons is what is to be different next time, in the words of who closed it.
	Lessons string
}

// Name is what people call it: INC-7.
func (i Incident) Name() string { return "INC-" + strconv.FormatInt(i.N, 10) }

// Due is when the authority must have been told.
func (i Incident) Due() time.Time { return i.AwareAt.Add(Notice) }

// Left is how much of the 72 hours is left; negative once they are over.
func (i Incident) Left(now time.Time) time.Duration { return i.Due().Sub(now) }

// Longest texts, in characters.
const (
	mostTitle = 120
	mostText  = 4000
)

// The faults of incidents.
var (
	ErrUnknown = fault.New(fault.NotFound, "incident_not_found", "There is no such incident. gatehouse incident list shows those that there are.")
	ErrClosed  = fault.New(fault.Conflict, "incident_closed", "This incident is closed. Open another one.")
)

// ParseName reads INC-7, or 7.
func ParseName(s string) (n int64, err error) {
	number := s
	if len(s) > 4 && strings.EqualFold(s[:4], "inc-") {
		number = s[4:]
	}
	n, err = strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || strings.HasPrefix(number, "+") || strings.HasPrefix(number, "0") {
		return 0, fault.Field("incident", "invalid_incident", "An incident is called INC-1, INC-2 and so on.")
	}
	return n, nil
}

// ParseTitle checks what an incident is to be called: one line.
func ParseTitle(s string) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return "", fault.Field("title", "required", "Say in a line what happened.")
	case utf8.RuneCountInString(s) > mostTitle:
		return "", fault.Field("title", "title_too_long", "A title has at most %d characters.", mostTitle)
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", fault.Field("title", "invalid_title", "A title is one line of characters that print.")
	}
	return s, nil
}

// ParseText checks a note, or the lessons; field is what the caller calls it.
func ParseText(field, s string) (string, error) {
	s = strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
	switch {
	case s == "":
		return "", fault.Field(field, "required", "This field is required.")
	case utf8.RuneCountInString(s) > mostText:
		return "", fault.Field(field, "text_too_long", "A text has at most %d characters.", mostText)
	case strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }):
		return "", fault.Field(field, "invalid_text", "A text has characters that print, and lines.")
	}
	return s, nil
}

// Open inserts an incident and returns it with its number. Two that are opened at once wait for one another.
func Open(tx *db.Tx, random secret.Random, i Incident) (Incident, error) {
	if err := tx.QueryRow(`UPDATE install SET incident_n = incident_n + 1 RETURNING incident_n`).Scan(&i.N); err != nil {
		return i, err
	}
	i.ID = random.ID(i.OpenedAt)
	_, err := tx.Exec(`INSERT INTO incident (id, n, title, alert, began_at, aware_at, opened_at, lessons) VALUES ($1, $2, $3, $4, $5, $6, $7, '')`,
		i.ID, i.N, i.Title, i.Alert, orNull(i.BeganAt), db.Micros(i.AwareAt), db.Micros(i.OpenedAt))
	return i, err
}

func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return db.Micros(t)
}

// ByNumber returns the incident with the number, or ErrUnknown.
func ByNumber(tx *db.Tx, n int64) (Incident, error) {
	i, err := scan(tx.QueryRow(`SELECT id, n, title, alert, began_at, aware_at, opened_at, contained_at, recovered_at, closed_at, lessons
		FROM incident WHERE n = $1`, n))
	if errors.Is(err, db.ErrNoRows) {
		err = ErrUnknown
	}
	return i, err
}

// ByID returns the incident of an id, or ErrUnknown.
func ByID(tx *db.Tx, id string) (Incident, error) {
	i, err := scan(tx.QueryRow(`SELECT id, n, title, alert, began_at, aware_at, opened_at, contained_at, recovered_at, closed_at, lessons
		FROM incident WHERE id = $1`, id))
	if errors.Is(err, db.ErrNoRows) {
		err = ErrUnknown
	}
	return i, err
}

// Hold returns the incident with the number and holds its row, so that it is not closed meanwhile: ErrUnknown, or
// ErrClosed.
func Hold(tx *db.Tx, n int64) (Incident, error) {
	i, err := scan(tx.QueryRow(`UPDATE incident SET n = n WHERE n = $1
		RETURNING id, n, title, alert, began_at, aware_at, opened_at, contained_at, recovered_at, closed_at, lessons`, n))
	switch {
	case errors.Is(err, db.ErrNoRows):
		err = ErrUnknown
	case err == nil && !i.ClosedAt.IsZero():
		err = ErrClosed
	}
	return i, err
}

// HoldAny is [Hold] for what is done about a closed one as well: an action is taken back whenever it turns out to be wrong.
func HoldAny(tx *db.Tx, n int64) (Incident, error) {
	i, err := Hold(tx, n)
	if errors.Is(err, ErrClosed) {
		err = nil
	}
	return i, err
}

// Lock holds the row of the incident of an id.
func Lock(tx *db.Tx, id string) error {
	_, err := tx.Exec(`UPDATE incident SET n = n WHERE id = $1`, id)
	return err
}

// List returns the newest incidents before the one with a number, if that is not zero: at most limit.
func List(tx *db.Tx, before int64, limit int) (list []Incident, err error) {
	rows, err := tx.Query(`SELECT id, n, title, alert, began_at, aware_at, opened_at, contained_at, recovered_at, closed_at, lessons
		FROM incident WHERE $1 = 0 OR n < $1 ORDER BY n DESC LIMIT $2`, before, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		i, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	return list, rows.Err()
}

// CountOpen is how many incidents are open, and when the first of their 72 hours end; zero if none is.
func CountOpen(tx *db.Tx) (n int64, due time.Time, err error) {
	var aware *int64
	err = tx.QueryRow(`SELECT COUNT(*), MIN(aware_at) FROM incident WHERE closed_at IS NULL`).Scan(&n, &aware)
	if aware != nil {
		due = db.Time(*aware).Add(Notice)
	}
	return n, due, err
}

// Mark is a time of an incident that is known once.
type Mark string

// The marks.
const (
	Contained Mark = "contained"
	Recovered Mark = "recovered"
)

// Set notes when an incident was contained, or recovered from; the first time stays.
func Set(tx *db.Tx, id string, m Mark, now time.Time) error {
	var err error
	switch m {
	case Contained:
		_, err = tx.Exec(`UPDATE incident SET contained_at = COALESCE(contained_at, $2) WHERE id = $1`, id, db.Micros(now))
	case Recovered:
		_, err = tx.Exec(`UPDATE incident SET recovered_at = COALESCE(recovered_at, $2) WHERE id = $1`, id, db.Micros(now))
	default:
		err = fmt.Errorf("incident: no mark is called %q", m)
	}
	return err
}

// Close closes an incident whose row the caller holds.
func Close(tx *db.Tx, id, lessons string, now time.Time) error {
	_, err := tx.Exec(`UPDATE incident SET closed_at = $2, lessons = $3 WHERE id = $1`, id, db.Micros(now), lessons)
	return err
}

func scan(row interface{ Scan(dest ...any) error }) (i Incident, err error) {
	var (
		aware, opened                       int64
		began, contained, recovered, closed *int64
	)
	err = row.Scan(&i.ID, &i.N, &i.Title, &i.Alert, &began, &aware, &opened, &contained, &recovered, &closed, &i.Lessons)
	i.BeganAt, i.AwareAt, i.OpenedAt = db.TimeOrZero(began), db.Time(aware), db.Time(opened)
	i.ContainedAt, i.RecoveredAt, i.ClosedAt = db.TimeOrZero(contained), db.TimeOrZero(recovered), db.TimeOrZero(closed)
	return i, err
}
