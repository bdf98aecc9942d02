package lockout_test

import (
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
)

// PW-4: who tries recovery codes waits longer and longer, is told how long, and is let in then;
// other networks don't wait.
func TestPW4_RecoveryCodesWaitAndSayHowLong(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, now := store(usual), start
		alone := func(i int, at time.Time) error {
			c := from(ada, i)
			c.Codes = "an account"
			return d.Write(ctx, func(tx *db.Tx) error { _, err := s.TakeAlone(tx, c, at); return err })
		}
		for i, wait := range []time.Duration{0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900} {
			wait *= time.Second
			if err := alone(1, now); err != nil {
				t.Fatalf("try %d: %v", i+1, err)
			}
			if wait == 0 {
				continue
			}
			err := alone(1, now.Add(wait-2*time.Second))
			if f := fault.As(err); !errors.Is(err, lockout.ErrDelayed) || f.RetryAfter != 2*time.Second {
				t.Fatalf("try %d, two seconds too early: %+v, want to be told of two seconds", i+2, err)
			}
			if err := alone(2+i, now); err != nil {
				t.Errorf("another network: %v", err)
			}
			now = now.Add(wait)
		}
	})
}
