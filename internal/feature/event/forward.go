package event

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// forwardPage is how many events are sent at once.
const forwardPage = 200

// Forward sends every sealed event that was not sent to the place of this name
// yet, in the order of the log, as lines of JSON. What send has taken is noted
// afterwards, so after a crash up to forwardPage events are sent twice, and none
// is left out. A place that is new begins with what happens from now on.
func (l *Log) Forward(ctx context.Context, d *db.DB, name string, send func(ctx context.Context, page []Sealed, lines []string) error) error {
	var n int64
	err := d.Read(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT n FROM event_forward WHERE name = $1`, name).Scan(&n)
	})
	if errors.Is(err, db.ErrNoRows) {
		err = d.Write(ctx, func(tx *db.Tx) error {
			tx.Defer(`INSERT INTO event_forward (name, n) SELECT $1, size FROM event_head WHERE one = 1 ON CONFLICT (name) DO NOTHING`, name)
			return nil
		})
		return err
	}
	for err == nil {
		var (
			page []Sealed
			next int64
		)
		err = d.Read(ctx, func(tx *db.Tx) (err error) {
			page, next, err = l.After(tx, n, forwardPage)
			return err
		})
		if err != nil || next == n {
			return err
		}
		lines := make([]string, 0, len(page))
		for _, s := range page {
			line, err := json.Marshal(s.Line())
			if err != nil {
				return err
			}
			lines = append(lines, string(line))
		}
		if len(lines) > 0 {
			if err := send(ctx, page, lines); err != nil {
				return err
			}
		}
		err = d.Write(ctx, func(tx *db.Tx) error {
			tx.Defer(`UPDATE event_forward SET n = $2 WHERE name = $1 AND n < $2`, name, next)
			return nil
		})
		n = next
	}
	return err
}
