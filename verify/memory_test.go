package verify

import (
	"crypto/rand"
	"fmt"
	"runtime"
	"testing"
	"time"
)

// BenchmarkRevoked measures what a look costs among this many live revocations,
// and what memory these take.
func BenchmarkRevoked(b *testing.B) {
	for _, n := range []int{10, 10_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			id := func() string {
				var k [16]byte
				_, _ = rand.Read(k[:])
				return fmt.Sprintf("%x-%x-%x-%x-%x", k[:4], k[4:6], k[6:8], k[8:10], k[10:])
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			r := newRevoked()
			until := time.Now().Add(time.Hour)
			for range n {
				r.add(revocation{Kind: "session", ID: id(), Until: until})
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			c := &claims{place: keyOf(id()), authTime: until.Unix()}
			for b.Loop() {
				if r.dead(c) {
					b.Fatal("dead")
				}
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
			runtime.KeepAlive(r)
		})
	}
}
