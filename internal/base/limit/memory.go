package limit

import (
	"context"
	"encoding/binary"
	"sync"
	"time"
)

// Memory counts in this process alone. It holds so many keys and no more; see
// [Memory.Take] for what it forgets then.
type Memory struct {
	now    func() int64
	shards [shards]shard
}

const (
	shards = 64
	// Most is how many keys a Memory holds: with all of them it takes up 86 MiB,
	// as its test measures.
	Most = shards * 16384
	// sample is of how many the least useful is forgotten.
	sample = 16
)

// shard is a part of the keys, with a lock of its own. Entries stand in a list,
// which the hand goes round.
type shard struct {
	mu      sync.Mutex
	most    int
	at      map[Key]int32
	entries []entry
	hand    int
}

type entry struct {
	key Key
	bucket
}

// NewMemory returns an empty one. Its clock only goes forward: it is the
// process's own, which can't be set.
func NewMemory() *Memory {
	start := time.Now()
	return newMemory(Most, func() int64 { return time.Since(start).Microseconds() })
}

func newMemory(most int, now func() int64) *Memory {
	m := &Memory{now: now}
	for i := range m.shards {
		m.shards[i] = shard{most: most / shards, at: map[Key]int32{}}
	}
	return m
}

// Take implements [Counter]: all claims are taken at one moment. When there is no
// room for a new key, one is forgotten: of some that lie side by side, the one
// whose debt is waited off first. So a flood of addresses, each seen once, forgets
// its own, and leaves the counts that matter: those of sign-ins last for minutes.
func (m *Memory) Take(_ context.Context, claims ...Claim) ([]State, error) {
	out := make([]State, len(claims))
	if len(claims) == 1 {
		m.change(claims[0].Key, func(b bucket, now int64) bucket {
			b, out[0] = claims[0].Rule.take(b, now)
			return b
		})
		return out, nil
	}
	unlock := m.lock(claims)
	defer unlock()
	now := m.now()
	var (
		changed = make([]bucket, len(claims))
		refused bool
	)
	for i, c := range claims {
		b := m.shardOf(c.Key).bucket(c.Key, now)
		for j := range i {
			if claims[j].Key == c.Key {
				b = changed[j]
			}
		}
		changed[i], out[i] = c.Rule.take(b, now)
		refused = refused || !out[i].OK
	}
	for i, c := range claims {
		s := m.shardOf(c.Key)
		if refused && out[i].OK {
			changed[i] = s.bucket(c.Key, now).after(now)
			out[i] = c.Rule.look(changed[i], now)
		}
		if _, known := s.at[c.Key]; known || !refused {
			s.put(c.Key, changed[i], now)
		}
	}
	return out, nil
}

// GiveBack implements [Counter].
func (m *Memory) GiveBack(_ context.Context, c Claim) error {
	m.change(c.Key, c.Rule.giveBack)
	return nil
}

func (m *Memory) change(k Key, how func(b bucket, now int64) bucket) {
	s := m.shardOf(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.now()
	s.put(k, how(s.bucket(k, now), now), now)
}

// lock locks the shards of all claims, in one order.
func (m *Memory) lock(claims []Claim) (unlock func()) {
	var of [shards]bool
	for _, c := range claims {
		of[shardNumber(c.Key)] = true
	}
	for i := range m.shards {
		if of[i] {
			m.shards[i].mu.Lock()
		}
	}
	return func() {
		for i := range m.shards {
			if of[i] {
				m.shards[i].mu.Unlock()
			}
		}
	}
}

func shardNumber(k Key) uint64 { return binary.LittleEndian.Uint64(k[:8]) % shards }

func (m *Memory) shardOf(k Key) *shard { return &m.shards[shardNumber(k)] }

// bucket returns what is remembered of a key: nothing is due of a new one.
func (s *shard) bucket(k Key, now int64) bucket {
	if i, known := s.at[k]; known {
		return s.entries[i].bucket
	}
	return bucket{at: now}
}

// put remembers it.
func (s *shard) put(k Key, b bucket, now int64) {
	i, known := s.at[k]
	if !known {
		i = s.room(now)
		s.at[k] = i
	}
	s.entries[i] = entry{key: k, bucket: b}
}

// room returns where a new entry goes.
func (s *shard) room(now int64) int32 {
	if len(s.entries) < s.most {
		s.entries = append(s.entries, entry{})
		return int32(len(s.entries) - 1) //nolint:gosec // most is far below
	}
	worst, least := 0, int64(0)
	for n := range min(sample, len(s.entries)) {
		s.hand = (s.hand + 1) % len(s.entries)
		if left := s.entries[s.hand].after(now).debt; n == 0 || left < least {
			worst, least = s.hand, left
		}
		if least == 0 {
			break
		}
	}
	delete(s.at, s.entries[worst].key)
	return int32(worst)
}

// Len returns how many keys are held.
func (m *Memory) Len() (n int) {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		n += len(s.entries)
		s.mu.Unlock()
	}
	return n
}
