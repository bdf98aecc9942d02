package app

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// guard returns what stands before every look at a password.
func (s *Server) guard(ring *keyring.Ring, events *event.Log, tally *event.Tally, tell *flow.Notices, now func() time.Time) *flow.Guard {
	return &flow.Guard{
		DB: s.db, Lockout: newLockout(s.config, ring),
		Spray: &lockout.Spray{}, Events: events, Tally: tally, Notices: tell, Pseudonym: ring.Key(keyring.Pseudonym), Now: now,
	}
}

// unlock lets a browser in whose owner could read the mail about a lockout.
func (s *Server) unlock(g *flow.Guard, count flow.Count) *flow.Unlock {
	g.UnlockLink = func(tx *db.Tx, accountID, addressKey string, now time.Time) (string, time.Duration) {
		return s.config.PublicURL + "/unlock#" + g.Lockout.AddLink(tx, accountID, addressKey, now), lockout.LinkLife
	}
	return &flow.Unlock{DB: s.db, Lockout: g.Lockout, Events: g.Events, Count: count, Now: g.Now}
}

func newLockout(c *config.Config, ring *keyring.Ring) *lockout.Store {
	return lockout.NewStore(lockout.Config{After: c.LockoutAfter, Delay: c.LockoutDelay}, ring.Key(keyring.Lockout), secret.Random{})
}

// operatorLockout is newLockout for an operator's command.
func operatorLockout(ctx context.Context, c *config.Config, d *db.DB) (*lockout.Store, error) {
	ring, err := operatorRing(ctx, c, d)
	if err != nil {
		return nil, err
	}
	return newLockout(c, ring), nil
}

// forgetGuesses deletes the counts of addresses at which nobody has tried for
// long.
func forgetGuesses(d *db.DB, now func() time.Time) job.Job {
	return inBatches(d, "forget-guesses", time.Hour, func(tx *db.Tx, limit int) (int64, error) {
		return lockout.Forget(tx, now().Add(-lockout.Keep), limit)
	})
}

// forgetDevices deletes browsers that were not used for long, and links to make
// others known that have expired.
func forgetDevices(d *db.DB, now func() time.Time) job.Job {
	return inBatches(d, "forget-devices", time.Hour, func(tx *db.Tx, limit int) (int64, error) {
		links, err := lockout.ForgetLinks(tx, now().Add(-lockout.LinkLife), limit)
		if err != nil {
			return 0, err
		}
		devices, err := lockout.ForgetUnused(tx, now().Add(-lockout.DeviceLife), limit)
		return max(links, devices), err
	})
}
