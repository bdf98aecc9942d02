package grant

import (
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

const (
	// NoticeLife is for how long an application is told again that does not listen.
	NoticeLife = 24 * time.Hour
	// NoticeLease is how long whoever has taken a notice has for it before others may.
	NoticeLease = 30 * time.Second
)

// noticePauses are how long after each try the next one comes; the last is for all further ones.
var noticePauses = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour}

// Notice is what an application has yet to be told: a session that it knows by a name has ended. The row goes once that is told, or given
// up.
type Notice struct {
	SignedIn
	// Tries counts those that were begun, with the present one.
	Tries   int
	Created time.Time
	until   time.Time
	lease   int64
}

// Expecting returns the applications that have notices which are due. There are few applications, and mostly no notices: it steps from
// one application to the next, however many notices each has.
func Expecting(tx *db.Tx, now time.Time) (list []string, err error) {
	for after := ""; ; {
		var due int64
		err := tx.QueryRow(`SELECT client_id, due_at FROM logout_notice WHERE client_id > $1 ORDER BY client_id, due_at LIMIT 1`, after).Scan(&after, &due)
		if errors.Is(err, db.ErrNoRows) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		if due <= db.Micros(now) {
			list = append(list, after)
		}
	}
}

// TakeNotices takes up to limit due notices of an application: nobody else takes them before the lease is over.
func TakeNotices(tx *db.Tx, client string, now time.Time, limit int) (taken []Notice, err error) {
	rows, err := tx.Query(`SELECT sid, account_id, tries, created_at, until_at, due_at FROM logout_notice WHERE client_id = $1 AND due_at <= $2
		ORDER BY due_at, sid LIMIT $3`, client, db.Micros(now), limit)
	if err != nil {
		return nil, err
	}
	var list []Notice
	err = each(rows, func() error {
		n := Notice{SignedIn: SignedIn{Client: client}}
		var created, until int64
		err := rows.Scan(&n.SID, &n.Account, &n.Tries, &created, &until, &n.lease)
		n.Created, n.until = db.Time(created), db.Time(until)
		list = append(list, n)
		return err
	})
	lease := db.Micros(now.Add(NoticeLease))
	for _, n := range list {
		if err != nil {
			return nil, err
		}
		var ours int64
		ours, err = tx.Exec(`UPDATE logout_notice SET due_at = $4, tries = tries + 1 WHERE sid = $1 AND client_id = $2 AND due_at = $3`,
			n.SID, client, n.lease, lease)
		if ours == 1 {
			n.lease, n.Tries = lease, n.Tries+1
			taken = append(taken, n)
		}
	}
	return taken, err
}

// Settle deletes a notice that needs no further try. One that was queued anew meanwhile stays.
func (n Notice) Settle(tx *db.Tx) {
	tx.Defer(`DELETE FROM logout_notice WHERE sid = $1 AND client_id = $2 AND due_at = $3`, n.SID, n.Client, n.lease)
}

// Next is when the next try of a notice is due that failed; ok is false if there is none any more.
func (n Notice) Next(now time.Time) (at time.Time, ok bool) {
	at = now.Add(noticePauses[min(max(n.Tries, 1), len(noticePauses))-1])
	return at, at.Before(n.until)
}

// PutOff makes a notice due again.
func (n Notice) PutOff(tx *db.Tx, at time.Time, why string) {
	tx.Defer(`UPDATE logout_notice SET due_at = $4, error = $5 WHERE sid = $1 AND client_id = $2 AND due_at = $3`, n.SID, n.Client, n.lease, db.Micros(at), why)
}

// NoticesOf returns how many notices wait, and since when the first one does; zero if none does.
func NoticesOf(tx *db.Tx) (n int64, since time.Time, err error) {
	var first int64
	if err = tx.QueryRow(`SELECT COUNT(*), COALESCE(MIN(created_at), 0) FROM logout_notice`).Scan(&n, &first); err != nil || n == 0 {
		return 0, time.Time{}, err
	}
	return n, db.Time(first), nil
}
