package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crowdAt is people who come to a server by the seed 7.
func crowdAt(rate float64, m Mix, targets ...*url.URL) *Crowd {
	return &Crowd{
		Targets: targets, Rate: rate, Mix: m, Accounts: 4, Prefix: "bench", Connections: 50, Duration: time.Second, Turns: 1, MostErrors: .5, Seed: 7,
	}
}

// visited is a server of sessions: each token works once, and its sign-outs and who comes are counted.
type visited struct {
	chains
	mu       sync.Mutex
	signOuts int
	emails   map[string]bool
}

func (v *visited) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/v1/logout":
		v.mu.Lock()
		v.signOuts++
		v.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case "/v1/me":
		if r.Header.Get("Authorization") != "Bearer a" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	case "/v1/register":
		var p Person
		_ = json.NewDecoder(r.Body).Decode(&p)
		v.mu.Lock()
		v.emails[p.Email] = true
		v.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
	default:
		v.chains.ServeHTTP(w, r)
	}
}

func newVisited() *visited {
	return &visited{chains: chains{alive: map[string]bool{}}, emails: map[string]bool{}}
}

func TestACrowdComesSignsInRefreshesChecksAndLeaves(t *testing.T) {
	v := newVisited()
	v.busy.Store(2) // who is told to come back does
	m := Mix{New: .1, Returning: .5, Checks: 3, Refreshes: 2, Leaving: .5, Think: time.Millisecond}
	server := target(t, v)
	seen := map[Act]int64{}
	busy, finished := int64(0), int64(0)
	// A machine that stands still lets the time of a run go by with little done in it.
	for try := 0; try < 5 && (len(seen) < len(Acts()) || finished == 0); try++ {
		got, err := crowdAt(100, m, server).Run(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		s := got.Sides[0].Spells[0]
		for _, done := range s.Acts {
			seen[done.Act] += done.Calls
			busy += done.Outcomes["503"]
			if done.Bad() != done.Outcomes["503"] {
				t.Errorf("%s: %+v", done.Act, done)
			}
		}
		finished += s.Visits.Finished
		if s.Visits.Broken != 0 {
			t.Errorf("%+v", s.Visits)
		}
	}
	if len(seen) != len(Acts()) || busy != 2 || finished == 0 || v.signOuts == 0 {
		t.Errorf("%v, %d times busy, %d finished, %d sign-outs", seen, busy, finished, v.signOuts)
	}
	if v.broken.Load() != 0 {
		t.Errorf("%d tokens came that were not the last answer's", v.broken.Load())
	}
	for email := range v.emails {
		if !strings.HasPrefix(email, "bench-") || !strings.HasSuffix(email, "@example.org") {
			t.Errorf("%s was registered", email)
		}
	}
}

// Who arrives when does not depend on how the server answers, and all whom it kept waiting are told of.
func TestArrivalsAreOpen(t *testing.T) {
	const stall = 700 * time.Millisecond
	signInsOnly := Mix{}
	quick, err := crowdAt(100, signInsOnly, target(t, tokensAfter(func() {}))).Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var gate sync.RWMutex
	once := sync.OnceFunc(func() {
		gate.Lock()
		time.AfterFunc(stall, gate.Unlock)
	})
	c := crowdAt(100, signInsOnly, target(t, tokensAfter(func() {
		once()
		gate.RLock()
		defer gate.RUnlock()
	})))
	c.Connections = 4 // most calls wait for a connection, and that counts
	c.People = []Person{{"ada@example.org", "x"}}
	slow, err := c.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	a, _ := quick.Sides[0].Spells[0].Act(ActSignIn)
	b, _ := slow.Sides[0].Spells[0].Act(ActSignIn)
	if a.Calls < 60 || a.Calls != b.Calls || b.Bad() != 0 {
		t.Errorf("%d sign-ins at a server that answers at once, %d at one that stands still; lost %d", a.Calls, b.Calls, b.Bad())
	}
	if b.Latency.P50 < 100 || b.Latency.Max < 500 {
		t.Errorf("those that the stall delayed are missing: %+v", b.Latency)
	}
}

// tokensAfter answers every call with tokens, after something.
func tokensAfter(before func()) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/register" {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		before()
		_, _ = w.Write([]byte(`{"access_token":"a","refresh_token":"r","expires_in":900}`))
	})
}

func TestACrowdStopsWhenTooMuchGoesWrong(t *testing.T) {
	var n atomic.Int64
	c := crowdAt(500, Mix{}, target(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		w.WriteHeader(http.StatusTooManyRequests)
	})))
	c.People, c.Duration = []Person{{"ada@example.org", "x"}}, MostDuration
	got, err := c.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	s := got.Sides[0].Spells[0]
	if !strings.Contains(s.Stopped, "429") || !strings.Contains(s.Stopped, "rate limits") {
		t.Errorf("stopped: %q", s.Stopped)
	}
	if calls := n.Load(); calls < recentCalls || calls > recentCalls+int64(c.Connections)+100 {
		t.Errorf("%d calls were made", calls)
	}
}

func TestACrowdEndsWhenItIsTold(t *testing.T) {
	c := crowdAt(50, Mix{Checks: 100, Think: time.Second}, target(t, newVisited()))
	c.Duration = MostDuration
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(300*time.Millisecond, cancel)
	got, err := c.Run(ctx)
	if err == nil || len(got.Sides) != 1 || len(got.Sides[0].Spells) != 1 { // what was measured until then is told
		t.Errorf("%v, %+v", err, got)
	}
}

func TestTheKneeIsBetweenTwoRates(t *testing.T) {
	var mu sync.Mutex
	var times []time.Time
	// It takes so many sign-ins in a second, and is broken beyond them.
	const most = 60
	server := tokensAfter(func() {})
	c := crowdAt(40, Mix{}, target(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		now := time.Now()
		for len(times) > 0 && now.Sub(times[0]) > time.Second {
			times = times[1:]
		}
		times = append(times, now)
		over := len(times) > most
		mu.Unlock()
		if over {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		server.ServeHTTP(w, r)
	})))
	c.People = []Person{{"ada@example.org", "x"}}
	got, err := c.FindKnee(context.Background(), Ramp{Most: 400, P99: time.Hour})
	if err != nil {
		t.Skipf("the machine stands still: %v", err)
	}
	k := got.Sides[0].Knee
	if k.Not == 0 || k.Carried >= k.Not || k.Why == "" || k.Not > 400 {
		t.Errorf("%+v", k)
	}
	if n := len(got.Sides[0].Spells); n < 1 {
		t.Errorf("%d rates were tried", n)
	}
	checkReport(t, got)
}

func TestTwoTargetsAreMeasuredInTurns(t *testing.T) {
	c := crowdAt(50, Mix{Checks: 2, Think: time.Millisecond}, target(t, newVisited()), target(t, newVisited()))
	c.Turns = 2
	got, err := c.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	a, b := got.Sides[0].Spells[0], got.Sides[1].Spells[0]
	if a.Visits.Begun != b.Visits.Begun || a.Visits.Begun < 40 || a.Seconds != 2 || len(got.Ratios()) < 1 {
		t.Errorf("%+v\n%+v\n%v", a.Visits, b.Visits, got.Ratios())
	}
	for _, done := range a.Acts {
		var over int64
		for _, m := range done.Over {
			over += m.Calls
		}
		if over != done.Calls {
			t.Errorf("%s: %d calls over time, %d in all", done.Act, over, done.Calls)
		}
	}
	checkReport(t, got)
}

// checkReport reads the page: whole, drawn, without script, and with nothing from elsewhere.
func checkReport(t *testing.T, v Visits) {
	t.Helper()
	var page bytes.Buffer
	if err := v.HTML(&page); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	if n := strings.Count(text, "<svg"); n < 3+len(v.Sides) || !strings.HasSuffix(strings.TrimSpace(text), "</html>") {
		t.Errorf("%d pictures in %s", n, text)
	}
	if regexp.MustCompile(`<script|src=|href=|url\(|@import|NaN|Inf|ZgotmplZ`).MatchString(text) {
		t.Errorf("the page is not self-contained, or is not drawn: %s", text)
	}
	for _, m := range regexp.MustCompile(` d="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if !regexp.MustCompile(`^M[\d.]+ [\d.]+[\d. HVh]*$`).MatchString(m[1]) {
			t.Errorf("a path: %s", m[1])
		}
	}
	if err := v.Print(&page); err != nil {
		t.Error(err)
	}
}

func TestAxes(t *testing.T) {
	a := milliseconds([]plotLine{{Points: [][2]float64{{0, .4}, {1, 70}, {2, 0}}}}, 0)
	if a.Low != .1 || a.High != 100 || len(a.Ticks) != 4 || a.part(.1) != 0 || a.part(100) != 1 || a.part(0) != 0 || math.Abs(a.part(1)-1.0/3) > 1e-9 {
		t.Errorf("%+v", a)
	}
	for high, last := range map[float64]string{0: "1", 7: "8", 60: "60", 61: "80", 1234: "1500"} {
		c := counting("seconds", high)
		if got := c.Ticks[len(c.Ticks)-1].Label; got != last || len(c.Ticks) > mostTicks+2 {
			t.Errorf("up to %v: %+v", high, c.Ticks)
		}
	}
}

func TestPlansThatAreRefused(t *testing.T) {
	good := func() *Crowd { return crowdAt(1, Mix{}, &url.URL{Scheme: "http", Host: "127.0.0.1"}) }
	if err := good().Check(); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*Crowd){
		"no target": func(c *Crowd) { c.Targets = nil }, "file": func(c *Crowd) { c.Targets[0].Scheme = "file" },
		"rate": func(c *Crowd) { c.Rate = MostArrivals + 1 }, "no rate": func(c *Crowd) { c.Rate = 0 }, "NaN": func(c *Crowd) { c.Rate = math.NaN() },
		"time": func(c *Crowd) { c.Duration = MostDuration + 1 }, "connections": func(c *Crowd) { c.Connections = MostConnections + 1 },
		"errors": func(c *Crowd) { c.MostErrors = 0 }, "accounts": func(c *Crowd) { c.Accounts = 0 }, "shares": func(c *Crowd) { c.Mix.New = 1.5 },
		"mean": func(c *Crowd) { c.Mix.Checks = math.Inf(1) }, "turns": func(c *Crowd) { c.Turns = 0 },
	} {
		c := good()
		spoil(c)
		if c.Check() == nil {
			t.Errorf("%s: it was taken", what)
		}
	}
}
