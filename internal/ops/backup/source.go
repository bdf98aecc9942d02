package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// A backup may be read from another server of the database, a standby. It must be of the same history, and as far: the event log
// tells, which grows with everything that matters.

const (
	// standbyWithin is for how long a standby that lags is waited for, standbyLook how often it is looked at meanwhile.
	standbyWithin = time.Minute
	standbyLook   = time.Second
)

// errBehind is for a standby that has not come as far yet.
var errBehind = errors.New("it has not come as far")

// snapshot calls fn with a moment of the database that is no older than now.
func (w *writing) snapshot(ctx context.Context, now time.Time, fn func(*db.Snapshot) error) error {
	if w.From == nil {
		return w.DB.Snapshot(ctx, now, fn)
	}
	var h history
	if err := w.DB.Read(ctx, func(tx *db.Tx) (err error) { h, err = readHistory(tx); return err }); err != nil {
		return err
	}
	d, err := w.From(ctx)
	if err != nil {
		return fmt.Errorf("BACKUP_DATABASE_URL: %w", err)
	}
	for waited := time.Duration(0); ; waited += standbyLook {
		err = d.Snapshot(ctx, now, func(s *db.Snapshot) error {
			if err := h.reached(s); err != nil {
				return err
			}
			return fn(s)
		})
		if !errors.Is(err, errBehind) {
			break
		}
		if waited >= standbyWithin {
			err = fault.New(fault.Unavailable, "standby_behind",
				"The server of BACKUP_DATABASE_URL lags behind that of DATABASE_URL, for a minute at least: a backup of it would be older than it says.")
			break
		}
		if err = w.Wait(ctx, standbyLook); err != nil {
			break
		}
	}
	return errors.Join(err, d.Close())
}

// reached refuses a snapshot that is of another installation or history, or of an earlier moment.
func (h history) reached(s *db.Snapshot) error {
	var install, timeline string
	var size int64
	err := s.Row(`SELECT id, timeline, (SELECT size FROM event_head WHERE one = 1) FROM install WHERE one = 1`, &install, &timeline, &size)
	switch {
	case err != nil:
		return fmt.Errorf("BACKUP_DATABASE_URL: %w", err)
	case install != h.install || timeline != h.timeline:
		return fault.New(fault.Invalid, "standby_not_ours", "BACKUP_DATABASE_URL names a database of another installation, or of another history of this one.")
	case size < h.head:
		return errBehind
	}
	return nil
}
