package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/bench"
	"github.com/gatehouse-auth/gatehouse/internal/bench/capacity"
)

const (
	// costsFile is what `gatehouse bench plan` reckons with.
	costsFile = "internal/bench/capacity/costs.json"
	// costCalls is how many calls of a kind are made, costRate how many of them a second: as many at once as in an
	// ordinary hour, since many at once share transactions and are cheaper.
	costCalls = 600
	costRate  = 60
	// costAccounts are in the database; a new server writes for minutes what a hundred thousand can be found by.
	costAccounts = 2000
	// costPeople make the calls, so that nobody has too many sessions.
	costPeople = 40
	// settling is how long after the calls the figures are read: the events are sealed by then.
	settling = 3 * time.Second
)

// costed is a server whose costs are measured, with its database and Redis.
type costed struct {
	*process
	pg     *pgx.Conn
	redis  *redis.Client
	parent int // the process of PostgreSQL whose children serve
	people []bench.Person
}

// readings are what has been used until now.
type readings struct {
	at                                  time.Time
	server, database, redisMS, commands float64
	wal, events, eventBytes             float64
}

// costs measures what each operation takes, writes it for `gatehouse bench plan`, and shows it.
func (r *run) costs(ctx context.Context) ([]Measure, error) {
	c, stop, err := r.startCosted(ctx, cheap)
	if err != nil {
		return nil, err
	}
	defer stop()
	out := capacity.Costs{
		Measured: time.Now().UTC().Format(time.DateOnly), Commit: commit(), BcryptCost: 12, Acts: map[bench.Act]capacity.Cost{},
		Machine: fmt.Sprintf("%d cores, %s", runtime.NumCPU(), runtime.Version()),
	}
	if out.HashMS, err = hashCost(out.BcryptCost, r.turn); err != nil {
		return nil, err
	}
	if out.Idle, err = c.idle(ctx, 5*r.turn); err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "   nobody, for a second: %+v\n", out.Idle)
	if err := c.acts(ctx, &out); err != nil {
		return nil, err
	}
	if err := sizesOf(ctx, c, &out); err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(costsFile, append(b, '\n'), 0o644); err != nil { //nolint:gosec // for everybody
		return nil, err
	}
	var shown []Measure
	for _, act := range append(bench.Acts(), capacity.ForwardAuth) {
		one := out.Acts[act]
		shown = append(shown, Measure{
			Name: "costs", What: fmt.Sprintf("%s on PostgreSQL with Redis, without hashing: of a core, the server : the database", act), Unit: "ms",
			Ours: one.ServerMS, Theirs: max(one.DatabaseMS, 1e-6), Ratio: one.ServerMS / max(one.DatabaseMS, 1e-6),
			Note: fmt.Sprintf("Redis %.3f ms, %.0f bytes of events, %.0f of WAL", one.RedisMS, one.EventBytes, one.WALBytes),
		})
	}
	return shown, nil
}

func (r *run) startCosted(ctx context.Context, settings ...string) (*costed, func(), error) {
	address := os.Getenv(redisVariable)
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, nil, errors.New(redisVariable + " is not set: run `make bench`")
	}
	_, dbURL, err := r.database(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	if _, err := fill(ctx, dbURL, master, costAccounts, 1); err != nil {
		return nil, nil, err
	}
	c := &costed{redis: redis.NewClient(options)}
	if c.pg, err = pgx.Connect(ctx, dbURL); err != nil {
		return nil, nil, err
	}
	if c.parent, err = c.postmaster(ctx); err != nil {
		return nil, nil, err
	}
	// What filling it has left to do would be counted with what is measured.
	if _, err := c.pg.Exec(ctx, `VACUUM ANALYZE`); err != nil {
		return nil, nil, err
	}
	if _, err := c.pg.Exec(ctx, `CHECKPOINT`); err != nil {
		return nil, nil, err
	}
	if c.process, err = r.startGatehouse(ctx, dbURL, append(settings, "REDIS_URL="+address, "LOG_LEVEL=info")...); err != nil {
		return nil, nil, err
	}
	stop := func() {
		c.stop()
		_ = c.pg.Close(ctx)
		_ = c.redis.Close()
	}
	for n := range costPeople {
		p := bench.Person{Email: fmt.Sprintf("cost-%d@example.org", n), Password: secret.Random{}.Text(18)}
		if _, err := c.call(ctx, http.MethodPost, "/v1/register", "", p); err != nil {
			stop()
			return nil, nil, err
		}
		c.people = append(c.people, p)
	}
	if err := c.quiet(ctx); err != nil {
		stop()
		return nil, nil, err
	}
	return c, stop, nil
}

// quiet waits until the jobs that a new server has on a database filled past it are done: nothing else writes then.
func (c *costed) quiet(ctx context.Context) error {
	const enough, most, littleWAL = 10, 400, 20_000
	for calm, n := 0, 0; calm < enough; n++ {
		if n == most {
			return errors.New("the database does not come to rest")
		}
		before, err := c.read(ctx)
		if err != nil {
			return err
		}
		time.Sleep(time.Second)
		after, err := c.read(ctx)
		if err != nil {
			return err
		}
		var unfindable int // accounts that the job has not got to yet
		if err := c.pg.QueryRow(ctx, `SELECT count(*) FROM account WHERE words = 0`).Scan(&unfindable); err != nil {
			return err
		}
		if calm++; unfindable > 0 || after.wal-before.wal > littleWAL {
			calm = 0
		}
	}
	_, err := c.pg.Exec(ctx, `CHECKPOINT`)
	return err
}

// hashCost is what one hash takes of a core, in milliseconds of the processor's time and not of the clock's.
func hashCost(cost int, d time.Duration) (float64, error) {
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		return 0, err
	}
	began := time.Now()
	rate, err := bareHashes(cost, d)
	if err != nil {
		return 0, err
	}
	n := math.Round(rate * time.Since(began).Seconds())
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		return 0, err
	}
	return float64(after.Utime.Nano()+after.Stime.Nano()-before.Utime.Nano()-before.Stime.Nano()) / 1e6 / (n + 1), nil // and the one that was made
}

func (c *costed) idle(ctx context.Context, d time.Duration) (capacity.Cost, error) {
	time.Sleep(settling)
	before, err := c.read(ctx)
	if err != nil {
		return capacity.Cost{}, err
	}
	time.Sleep(d)
	after, err := c.read(ctx)
	return after.since(before, after.at.Sub(before.at).Seconds(), capacity.Cost{}), err
}

// since is what one of n took, beyond what the time itself takes. Of the database's log that is next to nothing, and comes in
// bursts: to take it off would take off more than it is.
func (r readings) since(b readings, n float64, idle capacity.Cost) capacity.Cost {
	seconds := r.at.Sub(b.at).Seconds()
	each := func(now, then, idle float64) float64 { return max(0, now-then-idle*seconds) / n }
	return capacity.Cost{
		ServerMS: each(r.server, b.server, idle.ServerMS), DatabaseMS: each(r.database, b.database, idle.DatabaseMS),
		RedisMS: each(r.redisMS, b.redisMS, idle.RedisMS), RedisCommands: each(r.commands, b.commands, idle.RedisCommands),
		WALBytes: each(r.wal, b.wal, 0), EventBytes: each(r.eventBytes, b.eventBytes, idle.EventBytes),
	}
}

// measured is a kind of call, and how to make the nth of it.
type measured struct {
	act bench.Act
	do  func(int) error
}

// kinds are all of them, in the order in which each finds what the one before has left.
func (c *costed) kinds(ctx context.Context) []measured {
	var mu sync.Mutex
	var tokens []tokens
	random := secret.Random{}
	return []measured{
		{bench.ActRegister, func(int) error {
			p := bench.Person{Email: fmt.Sprintf("cost-new-%x@example.org", random.Bytes(8)), Password: random.Text(18)}
			_, err := c.call(ctx, http.MethodPost, "/v1/register", "", p)
			return err
		}},
		{bench.ActSignIn, func(n int) error {
			got, err := c.call(ctx, http.MethodPost, "/v1/login", "", c.people[n%len(c.people)])
			mu.Lock()
			defer mu.Unlock()
			tokens = append(tokens, got)
			return err
		}},
		{bench.ActRefresh, func(n int) error {
			got, err := c.call(ctx, http.MethodPost, "/v1/token/refresh", "", map[string]string{"refresh_token": tokens[n].Refresh})
			tokens[n] = got
			return err
		}},
		{bench.ActCheck, func(n int) error {
			_, err := c.call(ctx, http.MethodGet, "/v1/me", tokens[n].Access, nil)
			return err
		}},
		{capacity.ForwardAuth, func(n int) error {
			_, err := c.call(ctx, http.MethodGet, "/v1/forward-auth", tokens[n].Access, nil)
			return err
		}},
		{bench.ActSignOut, func(n int) error {
			_, err := c.call(ctx, http.MethodPost, "/v1/logout", tokens[n].Access, nil)
			return err
		}},
	}
}

// acts measures each kind of call by itself.
func (c *costed) acts(ctx context.Context, out *capacity.Costs) error {
	for _, one := range c.kinds(ctx) {
		before, err := c.read(ctx)
		if err != nil {
			return err
		}
		if err := paced(costCalls, costRate, one.do); err != nil {
			return fmt.Errorf("%s: %w", one.act, err)
		}
		time.Sleep(settling)
		after, err := c.read(ctx)
		if err != nil {
			return err
		}
		cost := after.since(before, costCalls, out.Idle)
		cost.EventBytes = (after.events - before.events) / costCalls // rows, for now
		// What writes no event writes nothing: what the log of the database grew by meanwhile is the background's.
		if after.events == before.events {
			cost.WALBytes = 0
		}
		out.Acts[one.act] = cost
		fmt.Fprintf(os.Stderr, "   %s: %+v\n", one.act, out.Acts[one.act])
	}
	// A table grows by whole pages, so each event counts as many bytes as all of them have on average, now that they are many.
	end, err := c.read(ctx)
	if err != nil {
		return err
	}
	for act, cost := range out.Acts {
		cost.EventBytes *= end.eventBytes / max(end.events, 1)
		out.Acts[act] = cost
	}
	return nil
}

// paced makes n calls at so many a second.
func paced(n int, rate float64, do func(int) error) error {
	var wg sync.WaitGroup
	failed := make(chan error, n)
	began := time.Now()
	for i := range n {
		time.Sleep(time.Until(began.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
		wg.Go(func() {
			if err := do(i); err != nil {
				failed <- err
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// call makes a request, which has to go well, and returns the tokens in its answer.
func (c *costed) call(ctx context.Context, method, path, bearer string, body any) (got tokens, err error) {
	var b []byte
	if body != nil {
		if b, err = json.Marshal(body); err != nil {
			return got, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, c.url.String()+path, bytes.NewReader(b))
	if err != nil {
		return got, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return got, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode/100 != 2 {
		return got, errors.Join(err, fmt.Errorf("%s answered %d: %s", path, res.StatusCode, text))
	}
	_ = json.Unmarshal(text, &got) // most answers have none
	return got, nil
}

// ticks is how many of the kernel's clock are in a second: sysconf(_SC_CLK_TCK), which is 100 on every Linux that Go runs on.
const ticks = 100

// cpuOf is the processor's time that a process has used, in milliseconds, and its parent; with its children's that have ended.
func cpuOf(pid int, ended bool) (ms float64, parent int, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name may have spaces in it
	f := strings.Fields(rest)
	if len(f) < 15 {
		return 0, 0, errors.New("the kernel does not report the processor's time")
	}
	fields := f[11:13] // utime, stime
	if ended {
		fields = f[11:15] // cutime, cstime
	}
	for _, s := range fields {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return 0, 0, err
		}
		ms += n * 1000 / ticks
	}
	parent, err = strconv.Atoi(f[1])
	return ms, parent, err
}
