package alert

import (
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Alert is what a rule found.
type Alert struct {
	ID         string
	Rule       string
	RaisedAt   time.Time
	ResolvedAt time.Time // zero while it is open
	N, Bound   int64
	What, Look string
}

// List returns the newest alerts, newest first: at most limit, and only those
// before the one of this id, if that is not empty.
func List(tx *db.Tx, before string, openOnly bool, limit int) ([]Alert, error) {
	if before == "" {
		before = "g" // after every id, which is hexadecimal
	}
	only := 0
	if openOnly {
		only = 1
	}
	rows, err := tx.Query(`SELECT id, rule, raised_at, resolved_at, n, bound, what, look FROM alert
		WHERE id < $1 AND ($2 = 0 OR resolved_at IS NULL) ORDER BY id DESC LIMIT $3`, before, only, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Alert
	for rows.Next() {
		var (
			a        Alert
			raised   int64
			resolved *int64
		)
		if err := rows.Scan(&a.ID, &a.Rule, &raised, &resolved, &a.N, &a.Bound, &a.What, &a.Look); err != nil {
			return nil, err
		}
		a.RaisedAt = db.Time(raised)
		if resolved != nil {
			a.ResolvedAt = db.Time(*resolved)
		}
		list = append(list, a)
	}
	return list, rows.Err()
}

// raise opens an alert of the rule, unless one is open: then it notes the most
// that was counted. The first to do so raises it, on whichever replica.
func raise(tx *db.Tx, v Verdict, now time.Time) (a Alert, raised bool, err error) {
	a = Alert{ID: secret.Random{}.ID(now), Rule: v.Rule.Name, RaisedAt: now, N: v.N, Bound: v.Bound, What: v.What(), Look: v.Look()}
	n, err := tx.Exec(`INSERT INTO alert (id, rule, raised_at, n, bound, what, look) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (rule) WHERE resolved_at IS NULL DO NOTHING`, a.ID, a.Rule, db.Micros(now), a.N, a.Bound, a.What, a.Look)
	if err != nil || n == 1 {
		return a, n == 1, err
	}
	_, err = tx.Exec(`UPDATE alert SET n = $2, what = $3 WHERE rule = $1 AND resolved_at IS NULL AND n < $2`, a.Rule, a.N, a.What)
	return a, false, err
}

// resolve resolves an alert. It reports false if another replica has.
func resolve(tx *db.Tx, a Alert, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE alert SET resolved_at = $2 WHERE id = $1 AND resolved_at IS NULL`, a.ID, db.Micros(now))
	return n == 1, err
}

// Forget deletes alerts that were resolved before a time.
func Forget(tx *db.Tx, b db.Batch) (db.Swept, error) {
	s, err := b.Read(tx.Query(`SELECT resolved_at, id, 1, resolved_at FROM alert WHERE (resolved_at, id) > ($1, $2) AND resolved_at < $3
		ORDER BY resolved_at, id LIMIT $4`, b.After.At, b.After.ID, b.Before, b.Keys))
	if err != nil || !b.Deletes(s) {
		return s, err
	}
	if _, err := tx.Exec(`DELETE FROM alert_delivery WHERE alert_id IN
		(SELECT id FROM alert WHERE (resolved_at, id) > ($1, $2) AND (resolved_at, id) <= ($4, $5) AND resolved_at < $3)`,
		b.After.At, b.After.ID, b.Before, s.Last.At, s.Last.ID); err != nil {
		return s, err
	}
	s.Due, err = tx.Exec(`DELETE FROM alert WHERE (resolved_at, id) > ($1, $2) AND (resolved_at, id) <= ($4, $5) AND resolved_at < $3`,
		b.After.At, b.After.ID, b.Before, s.Last.At, s.Last.ID)
	return s, err
}

// silence sends no notifications of a rule's alerts until a time; they are raised and
// listed all the same. A time in the past ends it.
func silence(tx *db.Tx, rule string, until time.Time) error {
	if _, ok := ByName(rule); !ok {
		return fault.New(fault.NotFound, "rule_unknown", "There is no rule with this name. docs/guides/alerts.md lists them.")
	}
	_, err := tx.Exec(`INSERT INTO alert_silence (rule, until_at) VALUES ($1, $2) ON CONFLICT (rule) DO UPDATE SET until_at = $2`, rule, db.Micros(until))
	return err
}

// Silences returns until when which rules are silenced, as of now.
func Silences(tx *db.Tx, now time.Time) (map[string]time.Time, error) {
	rows, err := tx.Query(`SELECT rule, until_at FROM alert_silence WHERE until_at > $1`, db.Micros(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]time.Time{}
	for rows.Next() {
		var (
			rule  string
			until int64
		)
		if err := rows.Scan(&rule, &until); err != nil {
			return nil, err
		}
		out[rule] = db.Time(until)
	}
	return out, rows.Err()
}

// mailDue reports whether an alert of the rule may be mailed, and notes that it was.
func mailDue(tx *db.Tx, rule string, now time.Time) (bool, error) {
	n, err := tx.Exec(`INSERT INTO alert_mail (rule, mailed_at) VALUES ($1, $2)
		ON CONFLICT (rule) DO UPDATE SET mailed_at = excluded.mailed_at WHERE alert_mail.mailed_at <= $3 OR alert_mail.mailed_at > excluded.mailed_at`,
		rule, db.Micros(now), db.Micros(now.Add(-mailEvery)))
	return n == 1, err
}

// SetCanary makes an account a canary, or none.
func SetCanary(tx *db.Tx, accountID string, on bool, now time.Time) error {
	if !on {
		_, err := tx.Exec(`DELETE FROM alert_canary WHERE account_id = $1`, accountID)
		return err
	}
	_, err := tx.Exec(`INSERT INTO alert_canary (account_id, made_at) VALUES ($1, $2) ON CONFLICT (account_id) DO NOTHING`, accountID, db.Micros(now))
	return err
}

func canaries(tx *db.Tx) (map[string]bool, error) {
	rows, err := tx.Query(`SELECT account_id FROM alert_canary`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out[id] = true
	}
	return out, rows.Err()
}

// mailTrouble counts mails that were given up within the hour, and those that
// are a quarter of an hour late.
func mailTrouble(tx *db.Tx, now time.Time) (n int64, err error) {
	err = tx.QueryRow(`SELECT (SELECT COUNT(*) FROM outbox WHERE dead_at > $1) + (SELECT COUNT(*) FROM outbox WHERE due_at < $2)`,
		db.Micros(now.Add(-hour)), db.Micros(now.Add(-quarter))).Scan(&n)
	return n, err
}

// Restored has the rules begin behind the log as it is, after a restore from a backup, and
// takes back what was open before.
func Restored(tx *db.Tx, now time.Time) error {
	if _, err := tx.Exec(`UPDATE alert SET resolved_at = $1 WHERE resolved_at IS NULL`, db.Micros(now)); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE alert_state SET n = (SELECT size FROM event_head WHERE one = 1), state = '' WHERE one = 1`)
	return err
}

// readState returns how far the rules have read. The first time, they begin with
// what happens from now on.
func readState(tx *db.Tx) (n int64, state string, err error) {
	err = tx.QueryRow(`SELECT n, state FROM alert_state WHERE one = 1`).Scan(&n, &state)
	if errors.Is(err, db.ErrNoRows) {
		err = tx.QueryRow(`SELECT size FROM event_head WHERE one = 1`).Scan(&n)
	}
	return n, state, err
}

// writeState notes how far the rules have read, if nobody else has read on.
func writeState(tx *db.Tx, had, n int64, state string) (bool, error) {
	if _, err := tx.Exec(`INSERT INTO alert_state (one, n, state) VALUES (1, $1, '') ON CONFLICT (one) DO NOTHING`, had); err != nil {
		return false, err
	}
	changed, err := tx.Exec(`UPDATE alert_state SET n = $2, state = $3 WHERE one = 1 AND n = $1`, had, n, state)
	return changed == 1, err
}
