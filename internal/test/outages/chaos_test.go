package outages_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestClientsGoOnThroughABadNetwork lets clients refresh and look themselves up
// while the connections to PostgreSQL are cut, held up, slowed down and cut
// again in the middle of commits. A client that gets a 503 retries with what
// it holds; nobody ever gets anything but 200 and 503. GATEHOUSE_SOAK
// makes it ten minutes.
func TestClientsGoOnThroughABadNetwork(t *testing.T) {
	t.Parallel()
	length := 4 * time.Second
	if os.Getenv("GATEHOUSE_SOAK") != "" {
		length = 10 * time.Minute
	}
	p := dbtest.NewProxy(t, dbtest.Postgres(t))
	h := harness.Open(t, p.URL()+"&default_query_exec_mode=cache_describe")
	const clients = 8
	tokens := make([]harness.Answer, clients)
	for i := range tokens {
		email := fmt.Sprintf("user%d@example.org", i)
		h.Register(email)
		tokens[i] = h.Login(email)
	}
	end := time.Now().Add(length)
	var wg sync.WaitGroup
	var served, refused atomic.Int64
	for i := range tokens {
		wg.Go(func() {
			// until is called again until it is answered 200.
			until := func(r harness.Request) (harness.Answer, bool) {
				for stop := time.Now().Add(length + 30*time.Second); time.Now().Before(stop); time.Sleep(5 * time.Millisecond) {
					began := time.Now()
					a, err := h.Try(r)
					switch {
					case err != nil || a.Status != 200 && a.Status != 503 || time.Since(began) > harness.RequestTimeout:
						h.Errorf("%s %s: %d %s after %v, error %v", r.Method, r.Path, a.Status, a.Text, time.Since(began), err)
						return a, false
					case a.Status == 200:
						served.Add(1)
						return a, true
					}
					refused.Add(1)
				}
				h.Errorf("%s %s: never served again", r.Method, r.Path)
				return harness.Answer{}, false
			}
			for ok := true; ok && time.Now().Before(end); {
				if tokens[i], ok = until(harness.Refreshing(tokens[i].Str("refresh_token"))); ok {
					_, ok = until(harness.Get("/v1/me", tokens[i].Str("access_token")))
				}
			}
		})
	}
	faults := []func(){
		p.Cut,
		func() { p.Down(); pause(100); p.Up() },
		func() { p.Stall(); pause(300); p.Up() },
		func() { p.Stall(); pause(100); p.Cut(); p.Up() },
		func() { p.Delay(20 * time.Millisecond); pause(200); p.Up() },
		func() { p.CutAt("COMMIT", true); pause(100) },
		func() { p.CutAt("COMMIT", false); pause(100) },
	}
	for i := 0; time.Now().Before(end); i++ {
		faults[(i+rand.IntN(2))%len(faults)]()
		pause(50)
	}
	p.Up()
	wg.Wait()
	t.Logf("%d served, %d refused", served.Load(), refused.Load())
	if served.Load() < clients || refused.Load() == 0 {
		t.Errorf("%d served and %d refused: that was no test", served.Load(), refused.Load())
	}
}

func pause(milliseconds int) { time.Sleep(time.Duration(milliseconds) * time.Millisecond) }
