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
		if x <= 0 || y <= 0 {
			return m, fmt.Errorf("%s: a side did nothing in its turn (%g, %g): the machine is too busy to measure anything", m.What, x, y)
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
	ourURL, _, err := r.postgres(ctx)
	if err != nil {
		return nil, err
	}
	theirURL, _, err := r.postgres(ctx)
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
		for _, n := range refreshers {
			m := Measure{
				Name: "refresh-postgres", What: fmt.Sprintf("refresh on PostgreSQL, %d clients : pgbench, the same statements %s", n, how),
				Unit: "a second", Note: fmt.Sprintf("pgbench's best of 4, 8, 16 and 32 connections: %d", connections),
			}
			if how == pipelined {
				// pgbench as it is is the softer reading; this is the goal.
				m.Name, m.AtLeast = "refresh-postgres-pipelined", 1
			}
			mine := min(n, connections) // one client is held against one connection
			m, err = r.duel(ctx, m, r.perSecond(p, bench.Load{Scenario: bench.Refresh, Clients: n}), func(ctx context.Context) (float64, error) {
				return pg.run(ctx, mine, how, r.turn)
			})
			if err != nil {
				return nil, err
			}
			out = append(out, m)
		}
	}
	return out, nil
}

// refreshers are how many clients refresh at once, one after another.
var refreshers = []int{1, 8, clients, 256}

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
	cost, err := syncCost(r.folder)
	if err != nil {
		return nil, err
	}
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
		m.Unit, m.Note = "a second", fmt.Sprintf("a sync costs %.0f µs here", cost)
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

// served is a running server, and sessions in its database that nobody has
// used yet.
type served struct {
	*process
	database string
	tokens   []string
}

// take returns tokens of sessions that were not used yet.
func (s *served) take(n int) []string {
	out := s.tokens[:n]
	s.tokens = s.tokens[n:]
	return out
}

// each runs a measure on a server on SQLite and on one on PostgreSQL.
func (r *run) each(ctx context.Context, settings []string, do func(*served) ([]Measure, error)) ([]Measure, error) {
	path, liteTokens, err := r.sqlite(ctx, people, spare)
	if err != nil {
		return nil, err
	}
	pgURL, pgTokens, err := r.postgres(ctx)
	if err != nil {
		return nil, err
	}
	var out []Measure
	for _, d := range []struct {
		name, url string
		tokens    []string
	}{{"SQLite", "sqlite:" + path, liteTokens}, {"PostgreSQL", pgURL, pgTokens}} {
		p, err := r.startGatehouse(ctx, d.url, settings...)
		if err != nil {
			return nil, err
		}
		ms, err := do(&served{process: p, database: d.name, tokens: d.tokens})
		p.stop()
		if err != nil {
			return nil, err
		}
		out = append(out, ms...)
	}
	return out, nil
}

func (r *run) me(ctx context.Context) ([]Measure, error) {
	bare, err := startBare(ctx)
	if err != nil {
		return nil, err
	}
	defer bare.stop()
	return r.each(ctx, []string{cheap}, func(s *served) ([]Measure, error) {
		m := Measure{Name: "me", What: "GET /v1/me on " + s.database + ", 64 clients : a bare handler with the same answer", Unit: "a second", AtLeast: 0.5}
		m, err := r.duel(ctx, m, r.perSecond(s.process, bench.Load{Scenario: bench.Me, Clients: clients}),
			r.perSecond(bare, bench.Load{Scenario: bench.Get, Clients: clients, Path: "/v1/me", Bearer: longBearer}))
		return []Measure{m}, err
	})
}

// forwardAuth is what a proxy asks before each request: it is held against the
// same bare handler, which answers more.
func (r *run) forwardAuth(ctx context.Context) ([]Measure, error) {
	bare, err := startBare(ctx)
	if err != nil {
		return nil, err
	}
	defer bare.stop()
	return r.each(ctx, []string{cheap}, func(s *served) ([]Measure, error) {
		m := Measure{
			Name: "forward-auth", What: "GET /v1/forward-auth on " + s.database + ", memory warm, 64 clients : a bare handler",
			Unit: "a second", AtLeast: 0.7,
		}
		m, err := r.duel(ctx, m, r.perSecond(s.process, bench.Load{Scenario: bench.Me, Clients: clients, Path: "/v1/forward-auth"}),
			r.perSecond(bare, bench.Load{Scenario: bench.Get, Clients: clients, Path: "/v1/me", Bearer: longBearer}))
		return []Measure{m}, err
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

// flooders is how many clients sign in at once; lightClients how many make the
// light calls of each kind, of which lightRate are due a second.
const (
	flooders     = 32
	lightClients = 8
	lightRate    = 50
)

// flood compares light calls at a fixed rate alone with the same while others
// sign in without a pause.
func (r *run) flood(ctx context.Context) ([]Measure, error) {
	return r.each(ctx, nil, func(s *served) ([]Measure, error) {
		light := []bench.Scenario{bench.Refresh, bench.Me}
		idle, under, outcomes, err := r.flooded(ctx, s, light, bench.Load{Scenario: bench.Login, Clients: flooders})
		if err != nil {
			return nil, err
		}
		var out []Measure
		for i, scenario := range light {
			out = append(out, floodMeasure("flood", fmt.Sprintf("p99 of %s at %d/s on %s while %d clients sign in : idle", scenario, lightRate, s.database, flooders),
				fmt.Sprintf("sign-ins meanwhile, by status: %v", outcomes), idle[i], under[i]))
		}
		return out, nil
	})
}

// flooded returns the p99 of each light call in each round, alone and under the flood, and what the flood was answered.
func (r *run) flooded(ctx context.Context, s *served, light []bench.Scenario, flood bench.Load) (
	idle, under [][]float64, outcomes map[string]int64, err error,
) {
	idle, under, outcomes = make([][]float64, len(light)), make([][]float64, len(light)), map[string]int64{}
	for range max(r.rounds/2, 1) {
		alone, err := r.lightly(ctx, s, light)
		if err != nil {
			return nil, nil, nil, err
		}
		flooded, err := r.lightly(ctx, s, light, flood)
		if err != nil {
			return nil, nil, nil, err
		}
		for i := range light {
			idle[i] = append(idle[i], alone[i].Latency.P99)
			under[i] = append(under[i], flooded[i].Latency.P99)
		}
		for o, n := range flooded[len(light)].Outcomes {
			outcomes[o] += n
		}
	}
	return idle, under, outcomes, nil
}

// floodMeasure holds what a call takes under a flood against what it takes alone.
func floodMeasure(name, what, note string, idle, under []float64) Measure {
	m := Measure{Name: name, Unit: "ms p99", AtMost: 3, Ours: median(under), Theirs: median(idle), Note: note, What: what}
	for k := range idle {
		m.Rounds = append(m.Rounds, under[k]/idle[k])
	}
	m.Ratio = m.Ours / m.Theirs
	return m
}

// lightly makes light calls, alone or under a flood, and returns what came of
// each kind, and of the flood last. None may be lost.
func (r *run) lightly(ctx context.Context, s *served, light []bench.Scenario, flood ...bench.Load) ([]bench.Stream, error) {
	var loads []bench.Load
	for _, scenario := range light {
		loads = append(loads, bench.Load{Scenario: scenario, Clients: lightClients, Rate: lightRate, Sessions: s.take(lightClients)})
	}
	loads = append(loads, flood...)
	report, err := bench.Run(ctx, bench.Plan{Target: s.url, Loads: loads, Accounts: 2, Warmup: 2 * time.Second, Duration: 3 * r.turn})
	if err != nil {
		return nil, err
	}
	for i := range light {
		if st := report.Streams[i]; st.Lost() > 0 {
			return nil, fmt.Errorf("%d calls of %s were lost: %v", st.Lost(), st.Scenario, st.Outcomes)
		}
	}
	return report.Streams, nil
}

// footprint is what a server costs that does nothing.
func (r *run) footprint(ctx context.Context) ([]Measure, error) {
	small, _, err := r.sqlite(ctx, 1000, 0)
	if err != nil {
		return nil, err
	}
	large, _, err := r.sqlite(ctx, people, 0)
	if err != nil {
		return nil, err
	}
	var starts, largeStarts, idle []float64
	for range r.rounds {
		started, mb, err := r.idle(ctx, small)
		if err != nil {
			return nil, err
		}
		starts, idle = append(starts, started), append(idle, mb)
		if started, _, err = r.idle(ctx, large); err != nil {
			return nil, err
		}
		largeStarts = append(largeStarts, started)
	}
	p, err := r.startGatehouse(ctx, "sqlite:"+large, cheap)
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
		return Measure{Name: "footprint", What: what + " : the goal", Unit: unit, Ours: ours, Theirs: goal, Ratio: ours / goal, AtMost: 1}
	}
	memory := absolute("idle memory (resident)", "MB", median(idle), 30)
	memory.Note = fmt.Sprintf("after refreshes of 64 clients: %.0f MB", after)
	inspected := absolute("start to ready, SQLite with 100,000 accounts, whose file is read through before", "ms", median(largeStarts), 100)
	inspected.AtMost = 0
	return []Measure{
		absolute("start to ready, SQLite with 1,000 accounts", "ms", median(starts), 100), inspected, memory,
		absolute("binary, stripped", "MB", float64(info.Size())/1e6, 34),
	}, nil
}

// idle starts a server and returns how many milliseconds that took, and its
// memory in MB two seconds later.
func (r *run) idle(ctx context.Context, path string) (started, mb float64, err error) {
	p, err := r.startGatehouse(ctx, "sqlite:"+path)
	if err != nil {
		return 0, 0, err
	}
	defer p.stop()
	time.Sleep(2 * time.Second)
	mb, err = p.memory()
	return float64(p.answered.Microseconds()) / 1000, mb, err
}
