package event

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// The figures: how often something happened within an hour. They are counted as
// events get their place in the sealed log, in the same transaction, so each counts
// once, whatever crashes; and to read them costs the same however long the log is.
const (
	FigureSignIns       = string(Login)
	FigureFailures      = string(FailedLogin)
	FigureRegistrations = string(AccountRegistered)
	FigureRefreshes     = string(TokenRefresh)
	FigureLimits        = string(RateLimitExceeded)
	FigureBlocked       = string(BlockedRequest)
	// FigureSessions and FigureAccounts are levels: how many there were when they were
	// last counted within the hour.
	FigureSessions = "sessions"
	FigureAccounts = "accounts"
)

// Figures returns the names of all, those that are counted first.
func Figures() []string {
	return []string{FigureSignIns, FigureFailures, FigureRegistrations, FigureRefreshes, FigureLimits, FigureBlocked, FigureSessions, FigureAccounts}
}

// Hour is a time as figures are kept: the hours since 1970, UTC.
func Hour(t time.Time) int64 { return db.Micros(t) / time.Hour.Microseconds() }

// HourTime is when an hour begins.
func HourTime(hour int64) time.Time { return db.Time(hour * time.Hour.Microseconds()) }

// Figure is one row.
type Figure struct {
	Hour int64
	Name string
	N    int64
}

// countFigures counts the events of the leaves from one on, before another. What the
// Tally has counted is in the event's count; of the rest each is one.
func countFigures(tx *db.Tx, from, until int64) error {
	tx.Defer(`INSERT INTO event_figure (hour, name, n) SELECT e.time / 3600000000, e.kind, COUNT(*)
		FROM event_leaf AS l JOIN event AS e ON e.id = l.event_id
		WHERE l.n >= $1 AND l.n < $2 AND e.outcome = 'success' AND e.kind IN ('successful_login', 'account_registered', 'token_refresh')
		GROUP BY e.time / 3600000000, e.kind
		ON CONFLICT (hour, name) DO UPDATE SET n = event_figure.n + excluded.n`, from, until)
	rows, err := tx.Query(`SELECT e.time, e.kind, p.data
		FROM event_leaf AS l JOIN event AS e ON e.id = l.event_id JOIN event_personal AS p ON p.event_id = e.id
		WHERE l.n >= $1 AND l.n < $2 AND e.kind IN ('failed_login_attempt', 'rate_limit_exceeded', 'blocked_request')`, from, until)
	if err != nil {
		return err
	}
	defer rows.Close()
	counts := map[Figure]int64{}
	for rows.Next() {
		var (
			at   int64
			f    Figure
			data string
			p    personal
		)
		if err := rows.Scan(&at, &f.Name, &data); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(data), &p); err != nil {
			return fmt.Errorf("the personal part of an event of kind %s: %w", f.Name, err)
		}
		f.Hour = at / time.Hour.Microseconds()
		counts[f] += max(p.Detail.Count, 1)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for f, n := range counts {
		tx.Defer(`INSERT INTO event_figure (hour, name, n) VALUES ($1, $2, $3)
			ON CONFLICT (hour, name) DO UPDATE SET n = event_figure.n + excluded.n`, f.Hour, f.Name, n)
	}
	return nil
}

// SetFigure notes a level.
func SetFigure(tx *db.Tx, name string, n int64, now time.Time) {
	tx.Defer(`INSERT INTO event_figure (hour, name, n) VALUES ($1, $2, $3) ON CONFLICT (hour, name) DO UPDATE SET n = excluded.n`, Hour(now), name, n)
}

// ReadFigures returns the figures of the hours from one on, before another.
func ReadFigures(tx *db.Tx, from, until int64) (list []Figure, err error) {
	rows, err := tx.Query(`SELECT hour, name, n FROM event_figure WHERE hour >= $1 AND hour < $2 ORDER BY hour`, from, until)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var f Figure
		if err := rows.Scan(&f.Hour, &f.Name, &f.N); err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, rows.Err()
}

// FirstFigure returns the first hour that has any; false if none has.
func FirstFigure(tx *db.Tx) (hour int64, ok bool, err error) {
	var first *int64
	if err := tx.QueryRow(`SELECT MIN(hour) FROM event_figure`).Scan(&first); err != nil || first == nil {
		return 0, false, err
	}
	return *first, true, nil
}

// ForgetFigures deletes up to limit figures of hours before.
func ForgetFigures(tx *db.Tx, before time.Time, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM event_figure WHERE (hour, name) IN
		(SELECT hour, name FROM event_figure WHERE hour < $1 ORDER BY hour LIMIT $2)`, Hour(before), limit)
}
