package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// eventWriters is how many write at once.
const eventWriters = 16

// eventLog is a database in which sessions are changed, with and without an event.
type eventLog struct {
	*run
	name     string
	url      string
	db       *db.DB
	log      *event.Log
	sealer   *event.Sealer
	sessions []string
}

// logSize is how many events verifying reads.
func logSize() int64 {
	if os.Getenv("GATEHOUSE_SOAK") == "1" {
		return 10_000_000
	}
	return 100_000
}

// events measures what the event log costs: writing it, sealing it meanwhile, and
// reading it all again.
func (r *run) events(ctx context.Context) (out []Measure, err error) {
	path, _, err := r.sqlite(ctx, 1000, 0)
	if err != nil {
		return nil, err
	}
	_, pg, err := r.database(ctx, "")
	if err != nil {
		return nil, err
	}
	if _, err := fill(ctx, pg, master, 1000, 0); err != nil {
		return nil, err
	}
	for _, d := range []struct{ name, url string }{{"SQLite", "sqlite:" + path}, {"PostgreSQL", pg}} {
		l, err := r.openLog(ctx, d.name, d.url)
		if err != nil {
			return nil, err
		}
		ms, err := l.measure(ctx)
		if err = errors.Join(err, l.db.Close()); err != nil {
			return nil, err
		}
		out = append(out, ms...)
	}
	return out, nil
}

func (r *run) openLog(ctx context.Context, name, url string) (*eventLog, error) {
	d, err := db.Open(ctx, db.Config{URL: url})
	if err != nil {
		return nil, err
	}
	l := &eventLog{run: r, name: name, url: url, db: d, log: event.NewLog(slog.New(slog.DiscardHandler), secret.Random{}, time.Now, nil)}
	l.sealer = event.NewSealer(d, master, time.Now)
	err = d.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT id FROM session ORDER BY id LIMIT $1`, 64*eventWriters)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			l.sessions = append(l.sessions, id)
		}
		return rows.Err()
	})
	return l, err
}

var refreshed = event.Event{Kind: event.TokenRefresh, Outcome: event.Success, Account: "0190a6e2-7b1c-7def-8a4b-0123456789ab",
	Session: "0190a6e2-7b1c-7def-8a4b-0123456789ac"}

// write changes sessions for a turn, and returns how many a second, and the p99 of
// a change in milliseconds.
func (l *eventLog) write(ctx context.Context, events bool) (rate, p99 float64, err error) {
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		taken []time.Duration
		n     atomic.Int64
		errs  []error
	)
	began := time.Now()
	for w := range eventWriters {
		all.Go(func() {
			var mine []time.Duration
			for i := w; time.Since(began) < l.turn; i += eventWriters {
				start := time.Now()
				id := l.sessions[i%len(l.sessions)]
				err := l.db.WriteShared(ctx, id, func(tx *db.Tx) error {
					_, err := tx.Exec(`UPDATE session SET idle_at = idle_at + 1 WHERE id = $1`, id)
					if events {
						l.log.Append(tx, refreshed)
					}
					return err
				})
				if err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
					return
				}
				mine = append(mine, time.Since(start))
				n.Add(1)
			}
			mu.Lock()
			defer mu.Unlock()
			taken = append(taken, mine...)
		})
	}
	all.Wait()
	if len(errs) > 0 || len(taken) == 0 {
		return 0, 0, errors.Join(errs...)
	}
	slices.Sort(taken)
	return float64(n.Load()) / time.Since(began).Seconds(), float64(taken[len(taken)*99/100].Microseconds()) / 1000, nil
}

// sealing seals every second, as a server does, until it is stopped.
func (l *eventLog) sealing(ctx context.Context) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			if _, err := l.sealer.Seal(ctx); err != nil {
				if ctx.Err() != nil {
					err = nil
				}
				done <- err
				return
			}
			select {
			case <-ctx.Done():
				done <- nil
				return
			case <-tick.C:
			}
		}
	}()
	return func() error { cancel(); return <-done }
}

func (l *eventLog) measure(ctx context.Context) ([]Measure, error) {
	appended, err := l.duel(ctx, Measure{Name: "events-append", What: "changes a second with their event on " + l.name + ", 16 writers : the same " +
		"without", Unit: "a second"},
		func(ctx context.Context) (float64, error) { rate, _, err := l.write(ctx, true); return rate, err },
		func(ctx context.Context) (float64, error) { rate, _, err := l.write(ctx, false); return rate, err })
	if err != nil {
		return nil, err
	}
	backlog, err := l.sealAll(ctx)
	if err != nil {
		return nil, err
	}
	backlog.Theirs, backlog.Ratio = appended.Ours, backlog.Ours/appended.Ours
	p99, err := l.duel(ctx, Measure{Name: "events-seal", What: "p99 of those changes on " + l.name + " while the log is sealed each second : while it " +
		"is not", Unit: "ms p99", AtMost: 1.5},
		func(ctx context.Context) (float64, error) {
			stop := l.sealing(ctx)
			_, p99, err := l.write(ctx, true)
			return p99, errors.Join(err, stop())
		},
		func(ctx context.Context) (float64, error) {
			if _, err := l.sealer.Seal(ctx); err != nil { // so that ours has no backlog
				return 0, err
			}
			_, p99, err := l.write(ctx, true)
			if err == nil {
				_, err = l.sealer.Seal(ctx)
			}
			return p99, err
		})
	if err != nil {
		return nil, err
	}
	verified, err := l.verify(ctx, appended.Ours)
	return append([]Measure{appended, backlog, p99}, verified...), err
}

// sealAll seals what has piled up, and returns how many events a second.
func (l *eventLog) sealAll(ctx context.Context) (Measure, error) {
	m := Measure{Name: "events-seal", What: "events sealed a second on " + l.name + ", of a backlog : changes with their event a second",
		Unit: "a second", AtLeast: 1}
	before, began := l.sealer.State().Size, time.Now()
	c, err := l.sealer.Seal(ctx)
	m.Ours = float64(c.Size-before) / time.Since(began).Seconds()
	m.Note = fmt.Sprintf("%d events", c.Size-before)
	return m, err
}

// verify fills the log up and runs the command that reads it all.
func (l *eventLog) verify(ctx context.Context, appended float64) ([]Measure, error) {
	began, first := time.Now(), l.sealer.State().Size
	for l.sealer.State().Size < logSize() {
		if err := l.add(ctx); err != nil {
			return nil, err
		}
		if _, err := l.sealer.Seal(ctx); err != nil {
			return nil, err
		}
	}
	size := l.sealer.State().Size
	note := fmt.Sprintf("%d events", size)
	if size > first {
		note += fmt.Sprintf(", filled up and sealed at %.0f a second", float64(size-first)/time.Since(began).Seconds())
	}
	began = time.Now()
	mb, err := l.command(ctx, []string{"DATABASE_URL=" + l.url, "JWT_SECRET_KEY=" + master}, "events", "verify")
	if err != nil {
		return nil, err
	}
	rate := float64(size) / time.Since(began).Seconds()
	return []Measure{
		{Name: "events-verify", What: "events verified a second on " + l.name + " : changes with their event a second", Unit: "a second", Ours: rate,
			Theirs: appended, Ratio: rate / appended, AtLeast: 1, Note: note},
		{Name: "events-verify", What: "peak memory of that verifying (resident) : 100 MB", Unit: "MB", Ours: mb, Theirs: 100, Ratio: mb / 100, AtMost: 1,
			Note: fmt.Sprintf("%d events", size)},
	}, nil
}

// add appends 10,000 events, many in a transaction.
func (l *eventLog) add(ctx context.Context) error {
	const writers, transactions, batch = 4, 5, 500
	errs := make([]error, writers)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for range transactions {
				errs[w] = errors.Join(errs[w], l.db.Write(ctx, func(tx *db.Tx) error {
					for range batch {
						l.log.Append(tx, refreshed)
					}
					return nil
				}))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
