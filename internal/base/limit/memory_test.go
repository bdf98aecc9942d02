package limit

import (
	"context"
	"encoding/binary"
	"runtime"
	"testing"
	"time"
)

func keyOf(n uint64) (k Key) {
	binary.LittleEndian.PutUint64(k[:], n*0x9E3779B97F4A7C15)
	binary.LittleEndian.PutUint64(k[8:], n)
	return k
}

// RATE-5: a million addresses cost a stated number of MiB, and the next million
// no more.
func TestRATE5_AMillionAddresses(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before := heap()
	m := NewMemory()
	api := Rule{"api", 600, time.Minute}
	fill := func(from, n uint64) float64 {
		for i := range n {
			if _, err := m.Take(context.Background(), Claim{api, keyOf(from + i)}); err != nil {
				t.Fatal(err)
			}
		}
		return float64(heap()-before) / (1 << 20)
	}
	first := fill(0, 1_000_000)
	second := fill(1_000_000, 1_000_000)
	t.Logf("a million addresses: %.0f MiB; another million: %.0f MiB; %d are held", first, second, m.Len())
	if second > 86 || m.Len() > Most {
		t.Errorf("they take up %.0f MiB, and 86 is promised", second)
	}
	runtime.KeepAlive(m)
}

// RATE-5: a flood of addresses, each seen once or twice, forgets its own, and
// not the counts of those who guessed passwords.
func TestRATE5_AFloodForgetsItsOwn(t *testing.T) {
	now := int64(0)
	m := newMemory(shards*64, func() int64 { return now })
	login, api := Rule{"login", 5, 15 * time.Minute}, Rule{"api", 600, time.Minute}
	ctx := context.Background()
	for i := range uint64(100) {
		for range 5 {
			_, _ = m.Take(ctx, Claim{login, keyOf(i)})
		}
	}
	for i := range uint64(200_000) {
		now += 10
		_, _ = m.Take(ctx, Claim{api, keyOf(1000 + i)})
	}
	for i := range uint64(100) {
		if s, _ := m.Take(ctx, Claim{login, keyOf(i)}); s[0].OK {
			t.Fatalf("the flood let guesser %d go on", i)
		}
	}
	if m.Len() != shards*64 {
		t.Errorf("%d are held, and there is room for %d", m.Len(), shards*64)
	}
}
