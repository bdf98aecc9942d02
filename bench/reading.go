package main

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/bench/capacity"
)

// postmaster is the process whose children serve the connections.
func (c *costed) postmaster(ctx context.Context) (int, error) {
	var backend int
	if err := c.pg.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&backend); err != nil {
		return 0, err
	}
	_, parent, err := cpuOf(backend, false)
	return parent, err
}

// read reads all figures. The connections are looked at last, since reading takes something itself.
func (c *costed) read(ctx context.Context) (r readings, err error) {
	r.at = time.Now()
	if r.server, _, err = cpuOf(c.cmd.Process.Pid, false); err != nil {
		return r, err
	}
	if r.database, err = c.cluster(); err != nil {
		return r, err
	}
	info, err := c.redis.Info(ctx, "cpu", "stats").Result()
	if err != nil {
		return r, err
	}
	r.redisMS = 1000 * (infoOf(info, "used_cpu_sys") + infoOf(info, "used_cpu_user"))
	r.commands = infoOf(info, "total_commands_processed")
	err = c.pg.QueryRow(ctx, `SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8, (SELECT count(*)::float8 FROM event),
		(SELECT sum(pg_total_relation_size(oid))::float8 FROM pg_class WHERE relkind = 'r' AND relname LIKE 'event%')`).Scan(&r.wal, &r.events, &r.eventBytes)
	return r, err
}

// cluster is the processor's time of PostgreSQL: of the process, of those of its children that have ended, and of
// those that run.
func (c *costed) cluster() (float64, error) {
	sum, _, err := cpuOf(c.parent, true)
	if err != nil {
		return 0, err
	}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		if ms, parent, err := cpuOf(pid, false); err == nil && parent == c.parent { // it may have ended by now
			sum += ms
		}
	}
	return sum, nil
}

// infoOf is a figure of Redis's INFO.
func infoOf(info, name string) float64 {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err == nil {
				return n
			}
		}
	}
	return 0
}

// sizesOf measures what accounts and sessions take in the database, and what a key takes in Redis.
func sizesOf(ctx context.Context, c *costed, out *capacity.Costs) error {
	var accounts, sessions, words float64
	if err := c.pg.QueryRow(ctx, `SELECT pg_total_relation_size('account')::float8 / (SELECT count(*) FROM account),
		pg_total_relation_size('session')::float8 / (SELECT count(*) FROM session),
		pg_total_relation_size('account_word')::float8 / (SELECT count(*) FROM account)`).Scan(&accounts, &sessions, &words); err != nil {
		return err
	}
	out.AccountBytes, out.SessionBytes = accounts+words, sessions
	// The limits of a benchmark are so high that what is counted is forgotten within a millisecond: this is a key of the same form.
	key := "gatehouse:limit:" + strings.Repeat("k", 43)
	if err := c.redis.Set(ctx, key, time.Now().UnixMicro(), time.Minute).Err(); err != nil {
		return err
	}
	n, err := c.redis.MemoryUsage(ctx, key).Result()
	out.RedisKeyBytes = float64(n)
	return err
}
