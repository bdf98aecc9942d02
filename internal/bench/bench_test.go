package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func target(t *testing.T, h http.Handler) *url.URL {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// stalling answers at once, but for one time at which nobody gets an answer.
func stalling(after, stall time.Duration) http.Handler {
	var mu sync.RWMutex
	began := sync.OnceFunc(func() {
		time.AfterFunc(after, func() {
			mu.Lock()
			time.Sleep(stall)
			mu.Unlock()
		})
	})
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		began()
		mu.RLock()
		defer mu.RUnlock()
	})
}

// The server stands still for a part of the run: with a closed loop each of the
// two clients notices once, with an open one all calls that were due meanwhile.
func TestAnOpenLoopTellsOfEveryCallThatAStallDelayed(t *testing.T) {
	const stall = 600 * time.Millisecond
	for _, c := range []struct {
		rate     float64
		atLeast  float64 // median, in ms
		wantLoop string
	}{
		{rate: 0, wantLoop: "closed"},
		// 100 calls a second for 1 s, of which 60 were due during the stall.
		{rate: 100, atLeast: 50, wantLoop: "open"},
	} {
		r, err := Run(context.Background(), Plan{
			Target: target(t, stalling(200*time.Millisecond, stall)), Accounts: 1, Duration: time.Second,
			Loads: []Load{{Scenario: Get, Path: "/", Clients: 2, Rate: c.rate}},
		})
		if err != nil {
			t.Fatal(err)
		}
		s := r.Streams[0]
		if s.Loop != c.wantLoop || s.Lost() != 0 || s.Latency.Max < 400 {
			t.Errorf("rate %v: %+v", c.rate, s)
		}
		if c.rate > 0 && (s.Latency.P50 < c.atLeast || s.Calls != 100) {
			t.Errorf("the median of an open loop is %.1f ms over %d calls: the calls that the stall delayed are missing", s.Latency.P50, s.Calls)
		}
		if c.rate == 0 && s.Latency.P50 > stall.Seconds()*500 {
			t.Errorf("the median of a closed loop is %.1f ms", s.Latency.P50)
		}
	}
}

// chains is a server that gives out tokens and notices any that comes twice.
type chains struct {
	mu     sync.Mutex
	next   int
	alive  map[string]bool
	broken atomic.Int64
	busy   atomic.Int64 // how many sign-ins are turned away first
}

func (c *chains) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var in struct {
		RefreshToken string `json:"refresh_token"`
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	switch r.URL.Path {
	case "/v1/register":
		w.WriteHeader(http.StatusAccepted)
		return
	case "/v1/login":
		if c.busy.Add(-1) >= 0 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
	case "/v1/token/refresh":
		if !c.alive[in.RefreshToken] {
			c.broken.Add(1)
		}
		delete(c.alive, in.RefreshToken)
	}
	c.next++
	token := fmt.Sprint("token ", c.next)
	c.alive[token] = true
	fmt.Fprintf(w, `{"access_token":"a","refresh_token":%q,"expires_in":900}`, token)
}

func TestEachClientCarriesTheLastAnswersTokenOn(t *testing.T) {
	c := &chains{alive: map[string]bool{"given 1": true, "given 2": true, "given 3": true, "given 4": true}}
	c.busy.Store(3)
	r, err := Run(context.Background(), Plan{
		Target: target(t, c), Accounts: 2, Duration: 300 * time.Millisecond, Warmup: 50 * time.Millisecond,
		Loads: []Load{
			{Scenario: Refresh, Clients: 4},
			{Scenario: Refresh, Clients: 2, Rate: 100, Sessions: []string{"given 1", "given 2", "given 3", "given 4"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Streams {
		if s.Calls == 0 || s.Lost() != 0 {
			t.Errorf("%+v", s)
		}
	}
	if n := c.broken.Load(); n != 0 {
		t.Errorf("%d tokens came that were not the last answer's", n)
	}
}

func TestRefusalsAreCountedAndHaveNoLatency(t *testing.T) {
	var n atomic.Int64
	r, err := Run(context.Background(), Plan{
		Target: target(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			switch n.Add(1) % 3 {
			case 0:
				w.WriteHeader(http.StatusServiceUnavailable)
			case 1:
				panic(http.ErrAbortHandler) // the connection ends without an answer
			default:
				time.Sleep(20 * time.Millisecond)
			}
		})),
		Accounts: 1, Duration: 400 * time.Millisecond, Loads: []Load{{Scenario: Get, Path: "/", Clients: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := r.Streams[0]
	if s.Outcomes["503"] == 0 || s.Outcomes["failed"] == 0 || s.Outcomes["200"] == 0 || s.Lost() != s.Outcomes["503"]+s.Outcomes["failed"] {
		t.Errorf("outcomes %v, lost %d", s.Outcomes, s.Lost())
	}
	if s.Latency.Max < 20 {
		t.Errorf("latency %+v", s.Latency)
	}
}

func TestAServerThatRefusesTheSetUpIsToldOf(t *testing.T) {
	_, err := Run(context.Background(), Plan{
		Target: target(t, http.NotFoundHandler()), Accounts: 1, Duration: time.Second, Loads: []Load{{Scenario: Me, Clients: 1}},
	})
	if err == nil {
		t.Error("a run against a server without accounts was measured")
	}
}
