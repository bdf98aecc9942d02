package doctor

import (
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// Stale is after how long nobody goes by what was found: whoever looked does so no more.
const Stale = 3 * time.Hour

// Record keeps what was found, for all replicas, and returns what has turned: what passed when it was looked at before, or was accepted, and fails now.
// What could not be looked at says nothing, and neither does what does not concern the deployment; a check from outside that was
// not made is another's.
func (r Report) Record(tx *db.Tx) (turned []Finding, err error) {
	for _, f := range r.Findings {
		switch f.State {
		case Unknown:
			continue
		case Excused:
			if !strings.Contains(f.Rule, "/outside-") {
				if _, err := tx.Exec(`DELETE FROM doctor_check WHERE rule = $1`, f.Rule); err != nil {
					return nil, err
				}
			}
			continue
		case Passed, Failed, Accepted:
		}
		var before string
		var since *int64
		err := tx.QueryRow(`SELECT state, turned_at FROM doctor_check WHERE rule = $1`, f.Rule).Scan(&before, &since)
		if err != nil && !errors.Is(err, db.ErrNoRows) {
			return nil, err
		}
		switch {
		case f.State != Failed:
			since = nil
		case before == string(Passed), before == string(Accepted):
			at := db.Micros(r.At)
			since, turned = &at, append(turned, f)
		}
		if _, err := tx.Exec(`INSERT INTO doctor_check (rule, state, severity, looked_at, turned_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (rule) DO UPDATE SET state = excluded.state, severity = excluded.severity, looked_at = excluded.looked_at,
			turned_at = excluded.turned_at`, f.Rule, string(f.State), string(f.Severity), db.Micros(r.At), since); err != nil {
			return nil, err
		}
	}
	return turned, nil
}

// Looked is when a check was looked at last; zero if it never was.
func Looked(tx *db.Tx, rule string) (time.Time, error) {
	var at int64
	err := tx.QueryRow(`SELECT looked_at FROM doctor_check WHERE rule = $1`, rule).Scan(&at)
	if errors.Is(err, db.ErrNoRows) {
		return time.Time{}, nil
	}
	return db.Time(at), err
}

// Turned counts the checks that were well and are not any more, as far as somebody still looks. What weighs little is no alert.
func Turned(tx *db.Tx, now time.Time) (n int64, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM doctor_check WHERE turned_at IS NOT NULL AND severity <> 'low' AND looked_at > $1`,
		db.Micros(now.Add(-Stale))).Scan(&n)
	return n, err
}

// Count is how many checks of a severity were found in a state.
type Count struct {
	State, Severity string
	N               int64
}

// Counts returns what was found last, as far as somebody still looks.
func Counts(tx *db.Tx, now time.Time) (list []Count, err error) {
	rows, err := tx.Query(`SELECT state, severity, COUNT(*) FROM doctor_check WHERE looked_at > $1 GROUP BY state, severity`, db.Micros(now.Add(-Stale)))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c Count
		if err := rows.Scan(&c.State, &c.Severity, &c.N); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}
