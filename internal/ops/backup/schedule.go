package backup

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// DrillEvery is how often the server drills a backup that it has just made.
const DrillEvery = 7 * 24 * time.Hour

// firstRetry is how long after a failure another backup is tried; twice as long after each
// further one.
const firstRetry = 10 * time.Minute

// Due reports whether a backup is due: by the moment of the last good one, not by the last
// try.
func (s Standing) Due(now time.Time, every time.Duration) bool {
	if every == 0 || !s.Good.IsZero() && now.Before(s.Good.Add(every)) {
		return false
	}
	if s.Failures == 0 {
		return true
	}
	wait := min(firstRetry<<min(s.Failures-1, 10), every)
	return !now.Before(s.Failed.Add(wait))
}

// Trouble counts what an operator should mend: the newest backup is older than twice the time
// between two, or three tries in a row have failed; and two drills in a row have failed, or none
// has gone well for two weeks.
func (s Standing) Trouble(now time.Time, every time.Duration) int64 {
	n := int64(0)
	if every > 0 && (s.Failures >= 3 || !s.Good.IsZero() && now.Sub(s.Good) > 2*every) {
		n++
	}
	if s.Undrilled >= 2 || every > 0 && !s.Drilled.IsZero() && now.Sub(s.Drilled) > 2*DrillEvery {
		n++
	}
	return n
}

// Step makes a backup if one is due, drills it if that is due, and deletes those that are
// too many. Another replica may do it meanwhile, which is no error. If all went well but for a
// store that keeps what is too many, that is what it returns: see [Keeps].
func (k *Keeper) Step(ctx context.Context) error {
	var st Standing
	err := k.DB.Read(ctx, func(tx *db.Tx) (err error) { st, err = Stand(tx); return err })
	if err != nil || !st.Due(k.Now(), k.Every) {
		return err
	}
	var keeps error
	_, err = k.Create(ctx, By{}, false, func(Progress) {}, func(ctx context.Context, made *Made) error {
		// Another replica may have made one between the look and the lease: then there are
		// two good ones.
		var drilling error
		if k.Now().Sub(st.Drilled) >= DrillEvery {
			drilling = k.drill(ctx, made)
		}
		_, err := k.prune(ctx, made.Manifest.Install, By{})
		if Keeps(err) {
			keeps, err = err, nil
		}
		return errors.Join(drilling, err)
	})
	if f := fault.As(err); f != nil && f.Code == "backup_running" {
		return nil
	}
	if err == nil {
		err = keeps
	}
	return err
}

// Astray says in a sentence what is wrong with the newest backup by this database's own record:
// it is gone from a store, or is another. Empty if nothing is.
func (k *Keeper) Astray(ctx context.Context, install string) (string, error) {
	var st Standing
	err := k.DB.Read(ctx, func(tx *db.Tx) (err error) { st, err = Stand(tx); return err })
	if err != nil || st.Newest == "" {
		return "", err
	}
	for _, s := range k.Maker.Stores {
		raw, err := s.Get(ctx, folderOf(install, st.Newest)+manifest, mostManifest)
		switch {
		case errors.Is(err, ErrMissing):
			return "the newest backup is gone", nil
		case errors.Is(err, errTooLong), err == nil && !secret.Equal([]byte(hexHash(raw)), []byte(st.Manifest)):
			return "the newest backup was changed", nil
		case err != nil:
			return "", err
		}
	}
	return "", nil
}
