package app

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/page"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// newGuard makes what stands before every look at a password, and the way back in for
// a browser whose owner could read the mail about a lockout.
func newGuard(b *base, p *page.Pages, who api.Caller, tell *flow.Notices) (*flow.Guard, capability, error) {
	g := &flow.Guard{
		Core: b.core(), Lockout: newLockout(b.config, b.ring),
		Spray: &lockout.Spray{}, Notices: tell, Pseudonym: b.ring.Key(keyring.Pseudonym),
	}
	g.UnlockLink = func(tx *db.Tx, accountID, addressKey string, now time.Time) (string, time.Duration) {
		return b.config.PublicURL + "/unlock#" + g.Lockout.AddLink(tx, accountID, addressKey, now), lockout.LinkLife
	}
	unlock := page.Unlock{Forms: forms(p, who), Unlock: &flow.Unlock{Core: b.core(), Lockout: g.Lockout}}
	return g, capability{name: "lockout", routes: []web.Routes{unlock.Routes()}, jobs: []job.Job{forgetGuesses(b), forgetDevices(b)}}, nil
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
func forgetGuesses(b *base) job.Job {
	return sweeping(b.db, "forget-guesses", time.Hour, func() time.Time { return b.now().Add(-lockout.Keep) }, lockout.Forget)
}

// forgetDevices deletes browsers that were not used for long.
func forgetDevices(b *base) job.Job {
	return sweeping(b.db, "forget-devices", time.Hour, func() time.Time { return b.now().Add(-lockout.DeviceLife) }, lockout.ForgetUnused)
}
