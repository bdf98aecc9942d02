package harness

import (
	"sync/atomic"
	"time"
)

// Clock is one that is set by hand.
type Clock struct{ offset atomic.Int64 }

// Now is the time by this clock.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())).Round(0) }

// Set puts the clock a time ahead of the real one, or behind it.
func (c *Clock) Set(by time.Duration) { c.offset.Store(int64(by)) }

// Shift puts the clock forward, or back.
func (c *Clock) Shift(by time.Duration) { c.offset.Add(int64(by)) }
