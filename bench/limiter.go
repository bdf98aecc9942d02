package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/limit"
	"github.com/gatehouse-auth/gatehouse/internal/bench"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// redisVariable names the Redis that scripts/servers starts.
const redisVariable = "GATEHOUSE_TEST_REDIS"

// serveStack is the process that the limiter is measured on: the server's own
// stack around a handler that writes one answer, without a limiter, or with one that
// counts in memory or in the Redis that the URL names.
func serveStack(kind string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ends with the process
	if err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	stack := &web.Stack{Log: quiet, Metrics: web.NewMetrics(prometheus.NewRegistry()), Now: time.Now}
	if kind != "without" {
		counter, err := counterOf(kind, quiet)
		if err != nil {
			return err
		}
		var counted atomic.Int64
		limits := &flow.Limits{
			Counter: counter, API: limit.Rule{Name: "api", Limit: 1_000_000, Window: time.Second},
			Key: func() []byte { return []byte(master) }, Count: func(string, bool) { counted.Add(1) },
		}
		stack.Limit = func(r *http.Request) (limit.State, error) {
			return limits.Request(r.Context(), "", web.Origin(r))
		}
	}
	mux := http.NewServeMux()
	stack.Handle(mux, "GET /v1/me", func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/json")
		_, err := w.Write([]byte(bareAnswer))
		return err
	})
	fmt.Printf("http://%s\n", l.Addr())
	return web.NewServer("", stack.Wrap(mux), quiet).Serve(l)
}

func counterOf(kind string, log *slog.Logger) (limit.Counter, error) {
	if kind == "memory" {
		return limit.NewMemory(), nil
	}
	u, err := url.Parse(kind)
	if err != nil {
		return nil, errors.New("-stack names no Redis")
	}
	password, _ := u.User.Password()
	s := limit.NewShared(limit.NewRedis(limit.RedisConfig{Addrs: []string{u.Host}, Username: u.User.Username(), Password: password}), func() int { return 1 }, log)
	if _, err := s.Begin(context.Background()); err != nil {
		return nil, err
	}
	go s.Run(context.Background()) // ends with the process
	return s, nil
}

// limiterRate is how many requests are due a second where the p99 is looked at.
const limiterRate = 500

// limiter compares the stack with a limiter to the same without: the requests a
// second of 64 clients, and the p99 at a fixed rate.
func (r *run) limiter(ctx context.Context) ([]Measure, error) {
	if os.Getenv(redisVariable) == "" {
		return nil, errors.New(redisVariable + " is not set: run `make bench`")
	}
	without, err := startSelf(ctx, "-stack", "without")
	if err != nil {
		return nil, err
	}
	defer without.stop()
	get := bench.Load{Scenario: bench.Get, Clients: clients, Path: "/v1/me", Bearer: longBearer}
	light := get
	light.Clients, light.Rate = lightClients, limiterRate
	var out []Measure
	for _, k := range []struct {
		where, kind     string
		atLeast, atMost float64
	}{{"in memory", "memory", 0.9, 1.5}, {"in Redis", os.Getenv(redisVariable), 0.3, 3}} {
		with, err := startSelf(ctx, "-stack", k.kind)
		if err != nil {
			return nil, err
		}
		defer with.stop()
		m, err := r.duel(ctx, Measure{
			Name: "limiter", What: "a request that is counted " + k.where + ", 64 clients : the same handler without the limiter", Unit: "a second", AtLeast: k.atLeast,
		}, r.perSecond(with, get), r.perSecond(without, get))
		if err != nil {
			return nil, err
		}
		p99, err := r.duel(ctx, Measure{
			Name: "limiter-p99", What: fmt.Sprintf("p99 of a request that is counted %s, at %d/s : the same without", k.where,
				limiterRate), Unit: "ms p99", AtMost: k.atMost,
		}, r.p99(with, light), r.p99(without, light))
		if err != nil {
			return nil, err
		}
		out = append(out, m, p99)
	}
	return out, nil
}

// p99 is a side whose figure is the time that one of a hundred calls takes.
func (r *run) p99(p *process, l bench.Load) side {
	return func(ctx context.Context) (float64, error) {
		s, err := r.load(ctx, p, l)
		return s.Latency.P99, err
	}
}
