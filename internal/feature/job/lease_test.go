package job_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
)

// Of sixteen at once one has the lease; one that died blocks for two minutes, and when it
// wakes it finds that the lease is another's.
func TestALeaseIsHeldByOne(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		c, log := &clock{}, &notes{}
		var held, refused atomic.Int64
		inside := make(chan struct{})
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				err := runner(d, holderName(), c, log).Hold(ctx, "one", func(context.Context, func(context.Context) error) error {
					held.Add(1)
					<-inside
					return nil
				})
				if errors.Is(err, job.ErrHeld) {
					if refused.Add(1) == 15 {
						close(inside)
					}
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if held.Load() != 1 || refused.Load() != 15 {
			t.Errorf("%d had it, %d were refused", held.Load(), refused.Load())
		}
		first, second := runner(d, "first", c, log), runner(d, "second", c, log)
		err := first.Hold(ctx, "one", func(ctx context.Context, renew func(context.Context) error) error {
			c.forward(time.Minute)
			if err := second.Hold(ctx, "one", nothing); !errors.Is(err, job.ErrHeld) {
				t.Errorf("after a minute: %v", err)
			}
			if err := renew(ctx); err != nil {
				t.Errorf("its own lease: %v", err)
			}
			c.forward(119 * time.Second)
			if err := second.Hold(ctx, "one", nothing); !errors.Is(err, job.ErrHeld) {
				t.Errorf("within two minutes of the renewal: %v", err)
			}
			c.forward(2 * time.Second)
			return second.Hold(ctx, "one", func(ctx context.Context, _ func(context.Context) error) error {
				if err := renew(ctx); err == nil {
					t.Error("the lease of a process that was suspended is still its own")
				}
				return nil
			})
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func nothing(context.Context, func(context.Context) error) error { return nil }

var holders atomic.Int64

func holderName() string { return "holder " + time.Duration(holders.Add(1)).String() }
