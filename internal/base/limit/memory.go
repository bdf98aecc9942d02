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
// process's own, which nobody sets.
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

// Take implements [Counter]. When there is no room for a new key, one is
// forgotten: of some that lie side by side, the one whose debt is waited off
// first. So a flood of addresses, each seen once, forgets its own, and leaves
// the counts that matter: those of sign-ins last for minutes.
func (m *Memory) Take(_ context.Context, claims ...Claim) ([]State, error) {
	out := make([]State, len(claims))
	for i, c := range claims {
		m.change(c.Key, func(b bucket, now int64) bucket {
			b, out[i] = c.Rule.take(b, now)
			return b
		})
	}
	return out, nil
}

// GiveBack implements [Counter].
func (m *Memory) GiveBack(_ context.Context, c Claim) error {
	m.change(c.Key, c.Rule.giveBack)
	return nil
}

func (m *Memory) change(k Key, how func(b bucket, now int64) bucket) {
	s := &m.shards[binary.LittleEndian.Uint64(k[:8])%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	now := m.now()
	i, known := s.at[k]
	if !known {
		i = s.room(now)
		s.entries[i] = entry{key: k, bucket: bucket{at: now}}
		s.at[k] = i
	}
	s.entries[i].bucket = how(s.entries[i].bucket, now)
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
