package token

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
)

// cache remembers the claims of tokens whose signature was found good, by the
// token's hash, so that a dump of memory holds none from here. It keeps two
// generations: when the young one is full it becomes the old one, so that what
// is in use stays and the rest goes, without a clock or a list.
type cache struct {
	mu    sync.Mutex // held to write
	young atomic.Pointer[sync.Map]
	old   atomic.Pointer[sync.Map]
	size  int // of young
}

// cacheSize is how many tokens a generation holds: with a few hundred bytes
// each, both are about 30 MiB at most.
const cacheSize = 32 << 10

func (c *cache) get(token string) *Claims {
	key := sha256.Sum256([]byte(token))
	if m := c.young.Load(); m != nil {
		if v, ok := m.Load(key); ok {
			return v.(*Claims)
		}
	}
	if m := c.old.Load(); m != nil {
		if v, ok := m.Load(key); ok {
			claims := v.(*Claims)
			c.store(key, claims)
			return claims
		}
	}
	return nil
}

func (c *cache) put(token string, claims *Claims) {
	c.store(sha256.Sum256([]byte(token)), claims)
}

func (c *cache) store(key [sha256.Size]byte, claims *Claims) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.young.Load()
	if m == nil || c.size >= cacheSize {
		c.old.Store(m)
		m = &sync.Map{}
		c.young.Store(m)
		c.size = 0
	}
	if _, there := m.Swap(key, claims); !there {
		c.size++
	}
}
