package lockout_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
)

// Attack 6: strangers' tries fade, one a day, so an address at which only unknown
// clients sign in is not shut for good; a locked one says when the next try is let in,
// and it is. No day has more than one over what a success leaves.
func TestAttack6_StrangersTriesFade(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := store(lockout.Config{After: 80, Delay: time.Second})
		now, n := start, 0
		// One network, as that of an application that signs in for others.
		client := lockout.Client{AddressKey: ada, Network: prefix("10.0.0.1/32")}
		try := func() error { n++; _, err := take(d, s, client, now); return err }
		for range lockout.UnknownMost {
			if err := try(); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Second)
		}
		now = now.Add(lockout.DelayMost) // the network's own wait
		for day := range 5 {
			err := try()
			f := fault.As(err)
			if !errors.Is(err, lockout.ErrLocked) || f.RetryAfter <= 0 || f.RetryAfter > 24*time.Hour {
				t.Fatalf("day %d: %v", day, err)
			}
			if now = now.Add(f.RetryAfter - 2*time.Second); !errors.Is(try(), lockout.ErrLocked) {
				t.Fatalf("day %d: a try is let in before it is said to be", day)
			}
			now = now.Add(3 * time.Second)
			if err := try(); err != nil {
				t.Fatalf("day %d: a client that came back when it was asked to is refused: %v", day, err)
			}
			now = now.Add(lockout.DelayMost)
		}
		// After a month nobody came there are a month's tries.
		now = now.AddDate(0, 0, 30)
		for i := range 30 {
			client.Network = prefix(fmt.Sprintf("10.0.1.%d/32", i))
			if err := try(); err != nil {
				t.Fatalf("try %d after a month: %v", i, err)
			}
		}
		if err := try(); !errors.Is(err, lockout.ErrLocked) {
			t.Fatalf("more than a month's tries: %v", err)
		}
	})
}
