package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/bench"
)

// clients is how many refresh and ask at once in the closed loops.
const clients = 64

// side is one of the two that take turns; it returns its figure.
type side func(context.Context) (float64, error)

// duel lets the two sides take turns and returns the medians of their figures
// and of the rounds' ratios.
func (r *run) duel(ctx context.Context, m Measure, ours, theirs side) (Measure, error) {
	var a, b, ratios []float64
	for range r.rounds {
		x, err := ours(ctx)
		if err != nil {
			return m, err
		}
		y, err := theirs(ctx)
		if err != nil {
			return m, err
		}
		a, b, ratios = append(a, x), append(b, y), append(ratios, x/y)
	}
	m.Ours, m.Theirs, m.Ratio, m.Rounds = median(a), median(b), median(ratios), ratios
	return m, nil
}

func median(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// load puts one load on a server for a turn and returns what came of it. Calls
// that were lost are an error.
func (r *run) load(ctx context.Context, p *process, l bench.Load) (bench.Stream, error) {
	report, err := bench.Run(ctx, bench.Plan{
		Target: p.url, Loads: []bench.Load{l}, Accounts: 8, Warmup: r.turn / 8, Duration: r.turn,
	})
	if err != nil {
		return bench.Stream{}, err
	}
	s := report.Streams[0]
	if lost := s.Lost(); lost > 0 && l.Scenario != bench.Login {
		return s, fmt.Errorf("%d of %d calls of %s were lost: %v", lost, s.Calls, s.Scenario, s.Outcomes)
	}
	return s, nil
}

func (r *run) perSecond(p *process, l bench.Load) side {
	return func(ctx context.Context) (float64, error) {
		s, err := r.load(ctx, p, l)
		return s.PerSecond, err
	}
}

// cheap makes the set-up quick where hashing is not what is measured.
const cheap = "BCRYPT_COST=4"

func (r *run) refreshPostgres(ctx context.Context) ([]Measure, error) {
	ourURL, err := r.postgres(ctx)
	if err != nil {
		return nil, err
	}
	theirURL, err := r.postgres(ctx)
	if err != nil {
		return nil, err
	}
	p, err := r.startGatehouse(ctx, ourURL, cheap)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	pg, err := newPgbench(ctx, theirURL, r.folder)
	if err != nil {
		return nil, err
	}
	var out []Measure
	for _, how := range []string{oneByOne, pipelined} {
		connections, err := pg.best(ctx, how)
		if err != nil {
			return nil, err
		}
		m, err := r.duel(ctx, Measure{
			Name: "refresh-postgres", What: "refresh on PostgreSQL, 64 clients : pgbench, the same statements " + how,
			Unit: "a second", AtLeast: 0.75, Note: fmt.Sprintf("pgbench's best of 4, 8, 16 and 32 connections: %d", connections),
		}, r.perSecond(p, bench.Load{Scenario: bench.Refresh, Clients: clients}), func(ctx context.Context) (float64, error) {
			return pg.run(ctx, connections, how, r.turn)
		})
		if err != nil {
			return nil, err
		}
		if how == pipelined {
			// The goal was set against pgbench as it is; this is the harder reading.
			m.Name, m.AtLeast = "refresh-postgres-pipelined", 0
		}
		out = append(out, m)
	}
	return out, nil
}

// best returns the number of connections at which pgbench is quickest.
func (p *pgbench) best(ctx context.Context, how string) (connections int, err error) {
	most := 0.0
	for _, c := range []int{4, 8, 16, 32} {
		rate, err := p.run(ctx, c, how, 2*time.Second)
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(os.Stderr, "   pgbench, %s, %d connections: %.0f a second\n", how, c, rate)
		if rate > most {
			most, connections = rate, c
		}
	}
	return connections, nil
}

func (r *run) refreshSQLite(ctx context.Context) ([]Measure, error) {
	ours, _, err := r.sqlite(ctx, people, 0)
	if err != nil {
		return nil, err
	}
	theirs, _, err := r.sqlite(ctx, people, 0)
	if err != nil {
		return nil, err
	}
	p, err := r.startGatehouse(ctx, "sqlite:"+ours, cheap)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	var out []Measure
	for _, events := range []bool{true, false} {
		w, err := newBareWriter(ctx, theirs, events)
		if err != nil {
			return nil, err
		}
		m := Measure{Name: "refresh-sqlite", What: "refresh on SQLite, FULL, 64 clients : one bare writer, the same statements, a commit each", AtLeast: 2.5}
		if !events {
			m = Measure{Name: "refresh-sqlite-update", What: "refresh on SQLite, FULL, 64 clients : one bare writer of the session's row alone, without the event"}
		}
		m.Unit = "a second"
		m, err = r.duel(ctx, m, r.perSecond(p, bench.Load{Scenario: bench.Refresh, Clients: clients}),
			func(ctx context.Context) (float64, error) { return w.run(ctx, r.turn) })
		if err != nil {
			return nil, err
		}
		if err := w.db.Close(); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// each runs a measure on a server on SQLite and on one on PostgreSQL.
func (r *run) each(ctx context.Context, settings []string, do func(p *process, database string) (Measure, error)) ([]Measure, error) {
	path, _, err := r.sqlite(ctx, people, 0)
	if err != nil {
		return nil, err
	}
	pgURL, err := r.postgres(ctx)
	if err != nil {
		return nil, err
	}
	var out []Measure
	for _, d := range [][2]string{{"SQLite", "sqlite:" + path}, {"PostgreSQL", pgURL}} {
		p, err := r.startGatehouse(ctx, d[1], settings...)
		if err != nil {
			return nil, err
		}
		m, err := do(p, d[0])
		p.stop()
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func (r *run) me(ctx context.Context) ([]Measure, error) {
	bare, err := startBare(ctx)
	if err != nil {
		return nil, err
	}
	defer bare.stop()
	return r.each(ctx, []string{cheap}, func(p *process, database string) (Measure, error) {
		m := Measure{Name: "me", What: "GET /v1/me on " + database + ", 64 clients : a bare handler with the same answer", Unit: "a second", AtLeast: 0.35}
		return r.duel(ctx, m, r.perSecond(p, bench.Load{Scenario: bench.Me, Clients: clients}),
			r.perSecond(bare, bench.Load{Scenario: bench.Get, Clients: clients, Path: "/v1/me", Bearer: longBearer}))
	})
}

// longBearer is as long as an access token.
var longBearer = string(slices.Repeat([]byte("x"), 620))

func (r *run) login(ctx context.Context) ([]Measure, error) {
	path, _, err := r.sqlite(ctx, people, 0)
	if err != nil {
		return nil, err
	}
	p, err := r.startGatehouse(ctx, "sqlite:"+path)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	turn := 2 * r.turn // a hash takes a quarter of a second
	longer := *r
	longer.turn, longer.rounds = turn, max(r.rounds/2, 1)
	m, err := longer.duel(ctx, Measure{
		Name: "login", What: "sign-ins, 4 clients : bcrypt at cost 12 on the cores given to it", Unit: "a second", AtLeast: 0.95,
		Note: "one core of two",
	}, longer.perSecond(p, bench.Load{Scenario: bench.Login, Clients: 4}),
		func(context.Context) (float64, error) { return bareHashes(12, turn) })
	return []Measure{m}, err
}

// flood compares light calls at a fixed rate alone with the same while 32
// clients sign in without a pause.
func (r *run) flood(ctx context.Context) ([]Measure, error) {
	var out []Measure
	_, err := r.each(ctx, nil, func(p *process, database string) (Measure, error) {
		light := []bench.Load{{Scenario: bench.Refresh, Clients: 8, Rate: 50}, {Scenario: bench.Me, Clients: 8, Rate: 50}}
		ms := make([]Measure, len(light))
		idle, under := make([][]float64, len(light)), make([][]float64, len(light))
		for range max(r.rounds/2, 1) {
			for _, flooded := range []bool{false, true} {
				loads := light
				if flooded {
					loads = append(slices.Clone(light), bench.Load{Scenario: bench.Login, Clients: 32})
				}
				report, err := bench.Run(ctx, bench.Plan{Target: p.url, Loads: loads, Accounts: 4, Warmup: 2 * time.Second, Duration: 3 * r.turn})
				if err != nil {
					return Measure{}, err
				}
				for i := range light {
					s := report.Streams[i]
					if s.Lost() > 0 {
						return Measure{}, fmt.Errorf("%d calls of %s were lost: %v", s.Lost(), s.Scenario, s.Outcomes)
					}
					if flooded {
						under[i] = append(under[i], s.Latency.P99)
						ms[i].Note = fmt.Sprintf("sign-ins meanwhile: %v", report.Streams[2].Outcomes)
					} else {
						idle[i] = append(idle[i], s.Latency.P99)
					}
				}
			}
		}
		for i, l := range light {
			m := &ms[i]
			m.Name, m.Unit, m.AtMost = "flood", "ms p99", 3
			m.What = fmt.Sprintf("p99 of %s at 50/s on %s while 32 clients sign in : idle", l.Scenario, database)
			for k := range idle[i] {
				m.Rounds = append(m.Rounds, under[i][k]/idle[i][k])
			}
			m.Ours, m.Theirs = median(under[i]), median(idle[i])
			m.Ratio = m.Ours / m.Theirs
		}
		out = append(out, ms...)
		return Measure{}, nil
	})
	return out, err
}

// footprint is what a server costs that does nothing.
func (r *run) footprint(ctx context.Context) ([]Measure, error) {
	path, _, err := r.sqlite(ctx, people, 0)
	if err != nil {
		return nil, err
	}
	var starts, idle []float64
	for range r.rounds {
		p, err := r.startGatehouse(ctx, "sqlite:"+path)
		if err != nil {
			return nil, err
		}
		time.Sleep(2 * time.Second)
		mb, err := p.memory()
		p.stop()
		if err != nil {
			return nil, err
		}
		starts, idle = append(starts, float64(p.answered.Microseconds())/1000), append(idle, mb)
	}
	p, err := r.startGatehouse(ctx, "sqlite:"+path, cheap)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	if _, err := r.load(ctx, p, bench.Load{Scenario: bench.Refresh, Clients: clients}); err != nil {
		return nil, err
	}
	after, err := p.memory()
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(r.binary)
	if err != nil {
		return nil, err
	}
	absolute := func(what, unit string, ours, goal float64) Measure {
		m := Measure{Name: "footprint", What: what + " : the goal", Unit: unit, Ours: ours, Theirs: goal, Ratio: ours / goal, AtMost: 1}
		return m
	}
	memory := absolute("idle memory (resident)", "MB", median(idle), 30)
	memory.Note = fmt.Sprintf("after refreshes of 64 clients: %.0f MB", after)
	return []Measure{
		absolute("start to first answer", "ms", median(starts), 100), memory,
		absolute("binary, stripped", "MB", float64(info.Size())/1e6, 30),
	}, nil
}
