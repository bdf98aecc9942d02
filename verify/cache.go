package verify

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
)

// cache remembers what tokens say whose signature was found good, by their hash.
// It keeps two generations: when the young one is full it becomes the old one, so
// that what is in use stays and the rest goes.
type cache struct {
	mu    sync.Mutex // held to write
	young atomic.Pointer[sync.Map]
	old   atomic.Pointer[sync.Map]
	size  int // of young
}

// cacheSize is how many tokens a generation holds: both are some 20 MiB at most.
const cacheSize = 16 << 10

func (c *cache) get(token string) *claims {
	key := sha256.Sum256([]byte(token))
	if m := c.young.Load(); m != nil {
		if v, ok := m.Load(key); ok {
			return v.(*claims)
		}
	}
	if m := c.old.Load(); m != nil {
		if v, ok := m.Load(key); ok {
			found := v.(*claims)
			c.store(key, found)
			return found
		}
	}
	return nil
}

func (c *cache) put(token string, of *claims) { c.store(sha256.Sum256([]byte(token)), of) }

func (c *cache) store(key [sha256.Size]byte, of *claims) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.young.Load()
	if m == nil || c.size >= cacheSize {
		c.old.Store(m)
		m = &sync.Map{}
		c.young.Store(m)
		c.size = 0
	}
	if _, there := m.Swap(key, of); !there {
		c.size++
	}
}
