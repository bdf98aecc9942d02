// Package job runs background jobs, each on one replica at a time.
//
// A job is a row with a lease and a schedule. Whichever replica finds it due
// and free takes the lease; if that replica dies, the lease expires and
// another takes over. So a job may run twice, if a replica was taken
// for dead and was not: every job must be correct even then. It should work in
// small batches, and stop when its context ends.
package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Job is one background job and its schedule.
type Job struct {
	Name  string
	Every time.Duration
	// Lease is how long a run may take; its context ends before that.
	Lease time.Duration
	Run   func(ctx context.Context) error
}

// Runner runs jobs until the context ends.
type Runner struct {
	db     *db.DB
	holder string // this process
	now    func() time.Time
	log    *slog.Logger
	jobs   []Job

	look time.Duration // the longest time between two checks whether a job is due

	mu   sync.Mutex
	last map[string]Last
}

// Last is the state of a job, as far as this replica has seen.
type Last struct {
	// Due is when it is to run next, on any replica; it lies in the past while
	// one is running it. It is the start of this replica until that has looked.
	Due time.Time
	// Failed is whether its last finished run failed, on any replica.
	Failed bool
	// Ran is when this replica last ran it, Took how long that was.
	Ran  time.Time
	Took time.Duration
}

// NewRunner returns a runner for the jobs. The holder names this process and is
// unique among the replicas.
func NewRunner(d *db.DB, holder string, now func() time.Time, log *slog.Logger, jobs ...Job) *Runner {
	r := &Runner{db: d, holder: holder, now: now, log: log, look: 15 * time.Second, last: map[string]Last{}}
	r.Add(jobs...)
	return r
}

// LookWithin shortens the longest time between two looks whether a job is due, which is
// 15 s: for tests whose clock leaps. It must be called before Run.
func (r *Runner) LookWithin(d time.Duration) { r.look = min(r.look, d) }

// Add adds jobs. It must be called before Run.
func (r *Runner) Add(jobs ...Job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.jobs = append(r.jobs, jobs...)
	for _, j := range jobs {
		r.last[j.Name] = Last{Due: r.now()}
	}
}

// Run runs each job when it is due, until the context ends; then it waits for
// those that are running.
func (r *Runner) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, j := range r.jobs {
		wg.Go(func() {
			// Look more often than the job is due, so that a replica takes over soon.
			tick := time.NewTicker(min(max(j.Every/4, 100*time.Millisecond), r.look))
			defer tick.Stop()
			for {
				if _, err := r.Try(ctx, j); err != nil && ctx.Err() == nil {
					r.log.Warn("A background job could not be looked up.", "job", j.Name, "error", err.Error())
				}
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		})
	}
	wg.Wait()
}

// Try runs the job if it is due and free, and reports whether it did. The
// error is the runner's: the job's own is logged and stored in its row.
func (r *Runner) Try(ctx context.Context, j Job) (ran bool, err error) {
	taken, err := r.take(ctx, j)
	if err != nil || !taken {
		return false, err
	}
	run, cancel := context.WithTimeout(ctx, j.Lease*9/10)
	defer cancel()
	began := r.now()
	failure := r.call(run, j)
	l := Last{Ran: began, Took: r.now().Sub(began), Due: r.now().Add(j.Every), Failed: failure != nil}
	text := ""
	switch {
	case failure != nil && ctx.Err() != nil:
		// The server is stopping, which is no failure: the next replica does it at once.
		l.Due, l.Failed = began, false
	case failure != nil:
		text = storable(failure.Error())
		level := slog.LevelError
		if fault.KindOf(failure) == fault.Unavailable {
			level = slog.LevelWarn // the database is unavailable, which others report
		}
		r.log.Log(ctx, level, "A background job failed; it will be tried again when it is due.", "job", j.Name, "error", text)
	}
	r.note(j.Name, l)
	// The row is given back even if the context has ended meanwhile, so that the
	// next replica need not wait for the lease.
	back, cancelBack := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancelBack()
	return true, r.db.Write(back, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE job SET holder = '', leased_to = 0, due_at = $3, finished_at = $4, error = $5 WHERE name = $1 AND holder = $2`,
			j.Name, r.holder, db.Micros(l.Due), db.Micros(r.now()), text)
		return err
	})
}

// take takes the lease if the job is due and nobody has it.
func (r *Runner) take(ctx context.Context, j Job) (taken bool, err error) {
	now := r.now()
	due, failure := int64(-1), ""
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		err := tx.QueryRow(`SELECT due_at, error FROM job WHERE name = $1`, j.Name).Scan(&due, &failure)
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return false, err
	}
	r.see(j.Name, due, failure != "")
	// What is due or leased for longer than it can be was written by a clock that
	// was wrong, and does not count: it could be years.
	farDue, farLease := db.Micros(now.Add(2*j.Every+j.Lease)), db.Micros(now.Add(2*j.Lease))
	if due > db.Micros(now) && due <= farDue {
		return false, nil
	}
	err = r.db.Write(ctx, func(tx *db.Tx) error {
		if due < 0 {
			if _, err := tx.Exec(`INSERT INTO job (name, holder, leased_to, due_at, error) VALUES ($1, '', 0, 0, '') ON CONFLICT DO NOTHING`, j.Name); err != nil {
				return err
			}
		}
		n, err := tx.Exec(`UPDATE job SET holder = $2, leased_to = $3, started_at = $4 
			WHERE name = $1 AND (due_at <= $4 OR due_at > $5) AND (leased_to <= $4 OR leased_to > $6)`,
			j.Name, r.holder, db.Micros(now.Add(j.Lease)), db.Micros(now), farDue, farLease)
		taken = n == 1
		return err
	})
	return taken, err
}

// call keeps a panic to its job.
func (r *Runner) call(ctx context.Context, j Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked{p}
		}
	}()
	return j.Run(ctx)
}

// see notes what the job's row says. One that has never run has no time that it
// was due at: this replica's start stands for it.
func (r *Runner) see(name string, due int64, failed bool) {
	if due <= 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.last[name]
	l.Due, l.Failed = db.Time(due), failed
	r.last[name] = l
}

func (r *Runner) note(name string, l Last) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[name] = l
}

// Last returns how each job stands, by name.
func (r *Runner) Last() map[string]Last {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]Last, len(r.last))
	for _, j := range r.jobs {
		if l, ok := r.last[j.Name]; ok {
			out[j.Name] = l
		}
	}
	return out
}

// storable returns the text without what PostgreSQL takes for no text: a row
// that can't be given back would keep the job until its lease runs out.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// panicked is a panic, as an error.
type panicked struct{ value any }

func (p panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// Row is the state of a job on all replicas.
type Row struct {
	Name string
	// Due is when it is to run next, zero if that is nobody's plan: see [Runner.Hold], and a
	// first run. Started and Finished are of its last run, zero if there was none.
	Due, Started, Finished time.Time
	// Running is whether some replica holds its lease.
	Running bool
	// Error is why its last run failed, or empty.
	Error string
}

// Rows returns all jobs that have ever been due, and all leases, by name.
func Rows(tx *db.Tx) ([]Row, error) {
	rows, err := tx.Query(`SELECT name, holder, due_at, started_at, finished_at, error FROM job ORDER BY name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Row
	for rows.Next() {
		var (
			r                 Row
			holder            string
			due               int64
			started, finished *int64
		)
		if err := rows.Scan(&r.Name, &holder, &due, &started, &finished, &r.Error); err != nil {
			return nil, err
		}
		if due > 0 {
			r.Due = db.Time(due)
		}
		r.Running, r.Started, r.Finished = holder != "", db.TimeOrZero(started), db.TimeOrZero(finished)
		out = append(out, r)
	}
	return out, rows.Err()
}
