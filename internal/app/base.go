package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// base is what all capabilities share.
type base struct {
	config  *config.Config
	log     *slog.Logger
	version string
	built   time.Time
	random  secret.Random
	now     func() time.Time
	// stopping is closed when the server takes no more work.
	stopping <-chan struct{}

	db       *db.DB
	hazards  string // what readyz warns of in the database; set by the start
	ring     *keyring.Ring
	registry *prometheus.Registry
	events   *event.Log
	tally    *event.Tally
	count    flow.Count
	jobs     *job.Runner
	lockdown *lockdown.State
}

// core is what all flows share.
func (b *base) core() flow.Core {
	return flow.Core{DB: b.db, Events: b.events, Tally: b.tally, Count: b.count, Now: b.now, Lockdown: b.lockdown}
}

// openBase opens the database, brings its schema up to date if it may, and opens the
// keys. The capability is what closes it.
func (s *Server) openBase(ctx context.Context, o Options) (*base, capability, error) {
	b := &base{config: s.config, log: s.log, version: o.Version, built: o.Built, now: o.Now, stopping: s.draining, registry: prometheus.NewRegistry()}
	var err error
	if b.db, err = OpenDatabase(ctx, b.config, b.log); err != nil {
		return nil, capability{}, err
	}
	if err = b.prepareSchema(ctx); err == nil {
		b.ring, err = b.openKeys(ctx)
	}
	if err != nil {
		return nil, capability{}, errors.Join(err, b.db.Close())
	}
	committed, events := eventCounter()
	ended, flows := flowCounter()
	b.events = event.NewLog(b.log, b.random, b.now, committed)
	b.tally = event.NewTally(b.db, b.events)
	b.count = ended
	b.lockdown = lockdown.NewState(b.now)
	b.jobs = job.NewRunner(b.db, b.random.ID(b.now()), b.now, b.log)
	if o.LookWithin > 0 {
		b.jobs.LookWithin(o.LookWithin)
	}
	return b, capability{
		name: "database",
		metrics: append(b.databaseMetrics(), events, flows, b.buildInfo(), jobMetrics{b.jobs, b.now},
			collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
		loops: []func(context.Context){b.jobs.Run},
		checks: []check{{"database", func(ctx context.Context) (string, error) {
			err := b.db.Check(ctx)
			if err == nil {
				return "", nil
			}
			return db.Trouble(err), err
		}}},
		warnings: []check{warning("database", func(context.Context) string { return b.hazards })},
		poll:     func(tx *db.Tx) error { return errors.Join(b.lockdown.Poll(tx), b.db.Watch(tx)) },
		close:    b.db.Close,
	}, nil
}

func (b *base) databaseMetrics() []prometheus.Collector {
	return []prometheus.Collector{
		gauge("gatehouse_db_connections_max", "Database connections that may be open; with SQLite, those that read.",
			func() float64 { return float64(b.db.Stats().Max) }),
		gauge("gatehouse_db_connections_open", "Database connections that are open.", func() float64 { return float64(b.db.Stats().Open) }),
		gauge("gatehouse_db_connections_in_use", "Database connections at work.", func() float64 { return float64(b.db.Stats().InUse) }),
		counter("gatehouse_db_waits_total", "Times that a request waited for a database connection.", func() float64 { return float64(b.db.Stats().Waits) }),
		counter("gatehouse_db_wait_seconds_total", "Time that requests waited for a database connection, in seconds.",
			func() float64 { return b.db.Stats().Waited.Seconds() }),
	}
}

// failed logs that work in the background was not done. A database that is away is an outage, which is over by itself, and
// the requests that it fails are counted: a warning.
func (b *base) failed(ctx context.Context, text string, err error) {
	level := slog.LevelError
	if fault.KindOf(err) == fault.Unavailable {
		level = slog.LevelWarn
	}
	b.log.Log(ctx, level, text, "error", err.Error())
}
