package limits_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/limit/redistest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// redisCounts waits until Redis counts for the server.
func redisCounts(h *harness.Server) {
	h.Helper()
	h.Eventually("Redis", func() (string, bool) {
		status, text := h.Admin("/readyz")
		return text, status == 200 && !strings.Contains(text, `"redis"`)
	})
}

// RATE-2: replicas on one Redis hold one limit exactly, whatever asks them at
// once.
func TestRATE2_ReplicasOnOneRedis(t *testing.T) {
	redis := redistest.Start(t)
	dbURL := dbtest.Postgres(t)
	var replicas []*harness.Server
	for n := 1; n <= 3; n++ {
		replicas = append(replicas, harness.Open(t, dbURL, harness.BehindProxy, "REDIS_URL="+redis.URL(), "API_RATE_LIMIT_REQUESTS=30",
			"API_RATE_LIMIT_WINDOW_SECONDS=3600"))
		// A machine that is busy may keep Redis from answering within 50 ms, and then
		// replicas count by themselves: another round shows.
		round := 0
		replicas[0].Eventually(fmt.Sprint(n, " replicas"), func() (string, bool) {
			round++
			for _, h := range replicas {
				redisCounts(h)
			}
			before := withoutRedis(replicas)
			passed := hammer(t, replicas, fmt.Sprintf("192.0.%d.%d", n, round))
			alone := withoutRedis(replicas) - before
			if alone == 0 && passed != 30 {
				t.Fatalf("%d replicas: %d passed, and 30 may", n, passed)
			}
			return fmt.Sprint(alone, " were counted without Redis"), alone == 0
		})
	}
}

func withoutRedis(replicas []*harness.Server) (n float64) {
	for _, h := range replicas {
		n += h.Metric("gatehouse_rate_limit_without_redis_total")
	}
	return n
}

// hammer sends 16 times 6 requests of one address at once, to all replicas in turn,
// and returns how many were not refused.
func hammer(t *testing.T, replicas []*harness.Server, address string) int64 {
	t.Helper()
	var passed atomic.Int64
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for n := range 6 {
				h := replicas[(i+n)%len(replicas)]
				a, err := h.Try(harness.Through(address, harness.Get("/v1/me")))
				switch {
				case err != nil:
					t.Error(err)
				case a.Status == http.StatusUnauthorized:
					passed.Add(1)
				case a.Status != http.StatusTooManyRequests:
					t.Errorf("%d %s", a.Status, a.Text)
				}
			}
		})
	}
	all.Wait()
	return passed.Load()
}

// RATE-4: without Redis each replica goes on with its share, says so, and goes
// back by itself; what was used up stays used up.
func TestRATE4_RedisGoes(t *testing.T) {
	redis := redistest.Start(t)
	dbURL := dbtest.Postgres(t)
	settings := []string{harness.BehindProxy, "REDIS_URL=" + redis.URL(), "API_RATE_LIMIT_REQUESTS=30", "API_RATE_LIMIT_WINDOW_SECONDS=3600"}
	first, second := harness.Open(t, dbURL, settings...), harness.Open(t, dbURL, settings...)
	ask := func(h *harness.Server, address string) harness.Answer {
		t.Helper()
		return h.Do(harness.Through(address, harness.Get("/v1/me")))
	}
	// The one that came second knows of both, the first with its next beat.
	if n := second.Metric("gatehouse_rate_limit_replicas"); n != 2 {
		t.Fatalf("it knows of %v replicas", n)
	}
	redisCounts(second)
	for ask(second, "192.0.2.1").Status != http.StatusTooManyRequests { // uses it up
	}
	logged := strings.Count(second.Logs.String(), "Redis does not count") // a busy machine may have been too slow for 50 ms
	for name, trouble := range map[string]struct{ begin, end func() }{
		"killed":  {redis.Kill, redis.Restart},
		"stopped": {func() { redis.Signal(syscall.SIGSTOP) }, func() { redis.Signal(syscall.SIGCONT) }},
	} {
		trouble.begin()
		if a := ask(second, "192.0.2.1"); a.Status != http.StatusTooManyRequests {
			t.Errorf("%s: who used the limit up goes on: %d", name, a.Status)
		}
		address := fmt.Sprintf("198.51.100.%d", len(name))
		passed := 0
		for range 40 {
			if a := ask(second, address); a.Status == http.StatusUnauthorized {
				passed++
				if got := a.Header.Get("Ratelimit-Policy"); got != `"api";q=15;w=3600` {
					t.Fatalf("%s: the headers say %s", name, got)
				}
			}
		}
		if passed != 15 {
			t.Errorf("%s: %d passed, and its share is 15", name, passed)
		}
		status, text := second.Admin("/readyz")
		if status != 200 || !strings.Contains(text, `"warnings":{"mail"`) && !strings.Contains(text, `"redis":"Redis `) {
			t.Errorf("%s: readyz: %d %s", name, status, text)
		}
		if second.Metric("gatehouse_rate_limit_redis_away") != 1 {
			t.Errorf("%s: the metrics don't tell", name)
		}
		logged++
		second.Eventually("the log", func() (string, bool) {
			n := strings.Count(second.Logs.String(), "Redis does not count")
			return fmt.Sprint(n, " times"), n == logged
		})
		trouble.end()
		redisCounts(second)
	}
	redisCounts(first)
}

// ENV-1: a Redis that will not count until somebody changes a setting refuses the
// start, with what to change. One that is away does not.
func TestENV1_ARedisThatRefuses(t *testing.T) {
	redis := redistest.Start(t)
	for url, want := range map[string]string{
		"redis://:wrong@" + redis.Addr():            "Redis refuses the login",
		"redis://" + redis.Addr():                   "Redis refuses the login",
		redis.URL() + "?master_name=m":              "of another kind than the URL says",
		redis.URL() + "?cluster=true":               "of another kind than the URL says",
		redis.URL() + "/99":                         "of another kind than the URL says",
		"rediss://" + redis.Addr() + "?ca=/nowhere": "a file that it names can't be used",
	} {
		f := harness.RefusedStart(t, "DATABASE_URL="+dbtest.SQLite(t), "REDIS_URL="+url)
		if f.Code != "redis_refused" || !strings.HasPrefix(f.Message, "REDIS_URL: ") || !strings.Contains(f.Message, want) || strings.Contains(f.Message, "wrong@") {
			t.Errorf("%s: %s: %s", url, f.Code, f.Message)
		}
	}
	redis.Kill()
	h := harness.Open(t, dbtest.SQLite(t), "REDIS_URL="+redis.URL())
	h.Register("ada@example.org")
	if status, text := h.Admin("/readyz"); status != 200 ||
		!strings.Contains(text, `"redis":"Redis is unreachable; until it counts this replica does so by itself, for one of 1"`) {
		t.Errorf("%d %s", status, text)
	}
	redis.Restart()
	redisCounts(h)
}

// N11: a Redis without its scripts is recognised, with what to change, and the script is not
// quoted; so is one that knows the one and not the other.
func TestCaseN11_ARedisWithoutScripts(t *testing.T) {
	for name, hidden := range map[string][]string{"EVAL": {"EVAL"}, "EVALSHA": {"EVALSHA"}, "both": {"EVAL", "EVALSHA"}} {
		var args []string
		for _, command := range hidden {
			args = append(args, "--rename-command", command, "")
		}
		redis := redistest.Start(t, args...)
		f := harness.RefusedStart(t, "DATABASE_URL="+dbtest.SQLite(t), "REDIS_URL="+redis.URL())
		if f.Code != "redis_refused" || !strings.Contains(f.Message, "does not know EVAL or EVALSHA") || !strings.Contains(f.Message, "rename-command") ||
			strings.Contains(f.Message, "cluster=true") {
			t.Errorf("%s: %s: %s", name, f.Code, f.Message)
		}
		for _, text := range []string{f.Message, fmt.Sprint(f.Err)} {
			if strings.Contains(text, "redis.call") || strings.Contains(text, "local ") || len(text) > 800 {
				t.Errorf("%s: the script is quoted: %s", name, text)
			}
		}
	}
}
