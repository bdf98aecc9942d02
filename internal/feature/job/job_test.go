package job_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
)

var (
	ctx   = context.Background()
	start = time.Date(2026, 11, 24, 12, 0, 0, 123456000, time.UTC)
)

// clock is a time that the test moves.
type clock struct{ after atomic.Int64 }

func (c *clock) now() time.Time          { return start.Add(time.Duration(c.after.Load())) }
func (c *clock) forward(d time.Duration) { c.after.Add(int64(d)) }

// notes is a log that can be read while it is written.
type notes struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(b)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

func runner(d *db.DB, holder string, c *clock, log *notes, jobs ...job.Job) *job.Runner {
	return job.NewRunner(d, holder, c.now, slog.New(slog.NewTextHandler(log, nil)), jobs...)
}

func try(t testing.TB, r *job.Runner, j job.Job) bool {
	t.Helper()
	ran, err := r.Try(ctx, j)
	if err != nil {
		t.Error(err)
	}
	return ran
}

// row is what the database knows of a job; times in microseconds after start,
// and the zero time as itself.
type row struct {
	Holder                       string
	Leased, Due, Began, Finished time.Duration
	Error                        string
}

const never = time.Duration(-1)

func rowOf(t testing.TB, d *db.DB, name string) (r row) {
	t.Helper()
	var leased, due int64
	var began, finished *int64
	err := d.Read(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT holder, leased_to, due_at, started_at, finished_at, error FROM job WHERE name = $1`, name).
			Scan(&r.Holder, &leased, &due, &began, &finished, &r.Error)
	})
	if err != nil {
		t.Fatal(err)
	}
	since := func(micros *int64) time.Duration {
		if micros == nil || *micros == 0 {
			return never
		}
		return db.Time(*micros).Sub(start)
	}
	r.Leased, r.Due, r.Began, r.Finished = since(&leased), since(&due), since(began), since(finished)
	return r
}

// hourly is a job that runs each hour, for ten minutes at most.
func hourly(run func(context.Context) error) job.Job {
	return job.Job{Name: "seal", Every: time.Hour, Lease: 10 * time.Minute, Run: run}
}

func TestADueJobRunsOnceAPeriodOnOneOfSixteen(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var c clock
		var log notes
		var runs, running, most atomic.Int32
		j := hourly(func(context.Context) error {
			runs.Add(1)
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(5 * time.Millisecond) // so that the others come meanwhile
			running.Add(-1)
			return nil
		})
		var runners []*job.Runner
		for i := range 16 {
			runners = append(runners, runner(d, fmt.Sprint("replica ", i), &c, &log, j))
		}
		for period := range 4 {
			var ready, done sync.WaitGroup
			var ran atomic.Int32
			ready.Add(16)
			for _, r := range runners {
				done.Go(func() {
					ready.Done()
					ready.Wait()
					for range 2 {
						if try(t, r, j) {
							ran.Add(1)
						}
					}
				})
			}
			done.Wait()
			if ran.Load() != 1 || runs.Load() != int32(period+1) || most.Load() != 1 {
				t.Fatalf("period %d: %d say they ran it, it ran %d times in all, %d at once", period, ran.Load(), runs.Load(), most.Load())
			}
			c.forward(time.Hour)
		}
	})
}

func TestTheTimetableFollowsTheClock(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var c clock
		var log notes
		j := hourly(func(context.Context) error { c.forward(2 * time.Minute); return nil })
		r := runner(d, "a", &c, &log, j)
		if !try(t, r, j) {
			t.Fatal("a new job is not due")
		}
		want := row{Leased: never, Due: time.Hour + 2*time.Minute, Began: 0, Finished: 2 * time.Minute}
		if diff := cmp.Diff(want, rowOf(t, d, "seal")); diff != "" {
			t.Error(diff)
		}
		c.forward(time.Hour - time.Microsecond)
		if try(t, r, j) {
			t.Error("it ran a microsecond before it was due")
		}
		c.forward(-30 * time.Minute)
		if try(t, r, j) {
			t.Error("it ran when the clock went back")
		}
		c.forward(30*time.Minute + time.Microsecond)
		if !try(t, r, j) {
			t.Error("it did not run when it was due")
		}
		// After a night off it runs once, not once for each hour missed.
		c.forward(12 * time.Hour)
		if !try(t, r, j) || try(t, r, j) {
			t.Error("after a night off it ran not at all, or twice")
		}
	})
}

// seize gives the job to a replica that dies with it.
func seize(t testing.TB, d *db.DB, name string, to time.Time) {
	t.Helper()
	err := d.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO job (name, holder, leased_to, due_at, error) VALUES ($1, 'dead', $2, 0, '')`, name, db.Micros(to))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheLeaseOfADeadReplicaRunsOut(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var c clock
		var log notes
		j := hourly(func(context.Context) error { return nil })
		r := runner(d, "a", &c, &log, j)
		seize(t, d, "seal", start.Add(10*time.Minute))
		for _, wait := range []time.Duration{0, 5 * time.Minute, 5*time.Minute - time.Microsecond} {
			if c.forward(wait); try(t, r, j) {
				t.Fatalf("it took the job %v after the other had begun", c.now().Sub(start))
			}
		}
		if got := rowOf(t, d, "seal"); got.Holder != "dead" {
			t.Errorf("meanwhile the row is %+v", got)
		}
		if c.forward(time.Microsecond); !try(t, r, j) {
			t.Error("it did not take the job when the lease had run out")
		}
	})
}

// A replica that was taken for dead, and comes back when another has the job,
// does not take the other's lease away.
func TestALateReplicaLeavesTheOthersLeaseAlone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var c clock
		var log notes
		finish, begun := make(chan struct{}), make(chan struct{})
		var other sync.WaitGroup
		second := hourly(func(context.Context) error { close(begun); <-finish; return nil })
		b := runner(d, "b", &c, &log, second)
		first := hourly(func(context.Context) error {
			c.forward(11 * time.Minute) // longer than the lease
			other.Go(func() {
				if !try(t, b, second) {
					t.Error("the other did not take over")
					close(begun)
				}
			})
			<-begun
			return errors.New("late")
		})
		a := runner(d, "a", &c, &log, first)
		if !try(t, a, first) {
			t.Fatal("the first did not run")
		}
		want := row{Holder: "b", Leased: 21 * time.Minute, Due: never, Began: 11 * time.Minute, Finished: never}
		if diff := cmp.Diff(want, rowOf(t, d, "seal")); diff != "" {
			t.Errorf("after the first came back:\n%s", diff)
		}
		close(finish)
		other.Wait()
		want = row{Leased: never, Due: 71 * time.Minute, Began: 11 * time.Minute, Finished: 11 * time.Minute}
		if diff := cmp.Diff(want, rowOf(t, d, "seal")); diff != "" {
			t.Errorf("after the other was done:\n%s", diff)
		}
	})
}

// ASVS 16.5.4: a panic ends only the job. The row says what went wrong, and the
// next good run takes it back.
func TestAFailureIsKeptToTheJob(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var nothing *row
		for name, c := range map[string]struct {
			run  func() error
			text string
		}{
			"an error":            {func() error { return errors.New("the disk is full") }, "the disk is full"},
			"a wrapped error":     {func() error { return fmt.Errorf("copying: %w", errors.New("gone")) }, "copying: gone"},
			"a panic":             {func() error { panic("out of range") }, "panic: out of range"},
			"a panic of an error": {func() error { panic(errors.New("gone")) }, "panic: gone"},
			"a panic of Go's":     {func() error { return errors.New(nothing.Error) }, "panic: runtime error: invalid memory address or nil pointer dereference"},
			"NUL in its text":     {func() error { return errors.New("bad name a\x00b") }, "bad name a\ufffdb"},
			"broken UTF-8 in it":  {func() error { panic("bad name a\xffb") }, "panic: bad name a\ufffdb"},
			"quotes and much else": {func() error { return errors.New(`'; DROP TABLE job; -- "` + strings.Repeat("é", 5000)) },
				`'; DROP TABLE job; -- "` + strings.Repeat("é", 5000)},
		} {
			t.Run(name, func(t *testing.T) {
				var clock clock
				var log notes
				fail := true
				j := job.Job{Name: name, Every: time.Hour, Lease: time.Minute, Run: func(context.Context) error {
					if fail {
						return c.run()
					}
					return nil
				}}
				r := runner(d, "a", &clock, &log, j)
				if !try(t, r, j) {
					t.Fatal("it did not run")
				}
				want := row{Leased: never, Due: time.Hour, Error: c.text}
				if diff := cmp.Diff(want, rowOf(t, d, name)); diff != "" {
					t.Error(diff)
				}
				if l := r.Last()[name]; !l.Failed || !l.Due.Equal(start.Add(time.Hour)) {
					t.Errorf("last %+v", l)
				}
				if lines := log.String(); strings.Count(lines, "\n") != 1 || !strings.Contains(lines, "level=ERROR") || !strings.Contains(lines, "job=") {
					t.Errorf("logged %.200q", lines)
				}
				fail = false
				clock.forward(time.Hour)
				if !try(t, r, j) || rowOf(t, d, name).Error != "" || r.Last()[name].Failed {
					t.Errorf("after a good run: %+v, last %+v", rowOf(t, d, name), r.Last()[name])
				}
			})
		}
	})
}

func TestARunEndsBeforeItsLease(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var c clock
		var log notes
		const lease = 400 * time.Millisecond
		j := job.Job{Name: "slow", Every: time.Hour, Lease: lease, Run: func(ctx context.Context) error {
			until, ok := ctx.Deadline()
			if left := time.Until(until); !ok || left >= lease {
				t.Errorf("with a lease of %v it may run for %v", lease, left)
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		if !try(t, runner(d, "a", &c, &log, j), j) {
			t.Fatal("it did not run")
		}
		if got := rowOf(t, d, "slow"); got.Error != context.DeadlineExceeded.Error() || got.Holder != "" || got.Leased != never {
			t.Errorf("the row is %+v", got)
		}
	})
}

// A clock that was wrong by years must not put a job off by years: what lies
// further ahead than any run could put it does not count.
func TestATimeThatNoRunCouldHaveWrittenDoesNotCount(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for name, c := range map[string]struct {
			due, leased time.Duration
			want        bool
		}{
			"due a period on":            {time.Hour, 0, false},
			"due as late as can be":      {2*time.Hour + 10*time.Minute, 0, false},
			"due later":                  {2*time.Hour + 10*time.Minute + time.Microsecond, 0, true},
			"due in a hundred years":     {100 * 365 * 24 * time.Hour, 0, true},
			"leased as long as can be":   {0, 20 * time.Minute, false},
			"leased longer":              {0, 20*time.Minute + time.Microsecond, true},
			"leased for a hundred years": {0, 100 * 365 * 24 * time.Hour, true},
			"late, but leased":           {100 * 365 * 24 * time.Hour, time.Minute, false},
		} {
			var clock clock
			var log notes
			j := hourly(func(context.Context) error { return nil })
			j.Name = name
			err := d.Write(ctx, func(tx *db.Tx) error {
				_, err := tx.Exec(`INSERT INTO job (name, holder, leased_to, due_at, error) VALUES ($1, 'wrong', $2, $3, '')`,
					name, db.Micros(start.Add(c.leased)), db.Micros(start.Add(c.due)))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if ran := try(t, runner(d, "a", &clock, &log, j), j); ran != c.want {
				t.Errorf("%s: ran %v, want %v", name, ran, c.want)
			}
		}
	})
}
