package limit

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/limit/redistest"
)

// BenchmarkTake is what one request's count takes, of many that count at once.
func BenchmarkTake(b *testing.B) {
	server := redistest.Start(b)
	r := NewRedis(RedisConfig{Addrs: []string{server.Addr()}, Password: redistest.Password})
	b.Cleanup(r.Close)
	for name, c := range map[string]Counter{"memory": NewMemory(), "redis": r} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := c.Take(context.Background(), Claim{Rule{"api", 600, time.Minute}, fresh()}); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
