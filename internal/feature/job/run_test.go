package job_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
)

// begin runs the runner and returns what stops it and waits for its end.
func begin(r *job.Runner) (stop func()) {
	running, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(running)
	}()
	return func() {
		cancel()
		<-done
	}
}

func TestRunRunsEachJobAgainAndAgainWhateverTheOthersDo(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var c clock
		var log notes
		good, bad, stuck := make(chan struct{}, 100), make(chan struct{}, 100), make(chan struct{}, 100)
		every := func(name string, run func(context.Context) error) job.Job {
			return job.Job{Name: name, Every: time.Second, Lease: time.Hour, Run: run}
		}
		stop := begin(runner(d, "a", &c, &log,
			every("bad", func(context.Context) error { bad <- struct{}{}; panic("again") }),
			every("stuck", func(ctx context.Context) error { stuck <- struct{}{}; <-ctx.Done(); return ctx.Err() }),
			every("good", func(context.Context) error { good <- struct{}{}; return nil }),
		))
		// The clock goes on until each has run: a job that is given back after it
		// went on is due only when it goes on again.
		for _, ran := range []chan struct{}{good, bad, good, bad, good, bad} {
			for waiting := true; waiting; {
				select {
				case <-ran:
					waiting = false
				case <-time.After(100 * time.Millisecond):
					c.forward(time.Second)
				}
			}
		}
		stop()
		if n := len(stuck); n != 1 {
			t.Errorf("the job that does not end was begun %d times", n)
		}
		if !strings.Contains(log.String(), "panic: again") {
			t.Errorf("logged %q", log.String())
		}
	})
}

func TestRunGivesTheJobBackWhenItIsToldToStop(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var c clock
		var log notes
		begun := make(chan struct{})
		var ended atomic.Bool
		j := hourly(func(ctx context.Context) error {
			close(begun)
			<-ctx.Done()
			time.Sleep(20 * time.Millisecond) // it finishes what it is at
			ended.Store(true)
			return nil
		})
		stop := begin(runner(d, "a", &c, &log, j))
		<-begun
		if got := rowOf(t, d, "seal"); got.Holder != "a" || got.Leased != 10*time.Minute {
			t.Errorf("while it runs the row is %+v", got)
		}
		stop()
		if !ended.Load() {
			t.Error("Run did not wait for the job")
		}
		if diff := cmp.Diff(row{Leased: never, Due: time.Hour}, rowOf(t, d, "seal")); diff != "" {
			t.Error(diff)
		}
		c.forward(time.Hour)
		next := hourly(func(context.Context) error { return nil })
		if !try(t, runner(d, "b", &c, &log, next), next) {
			t.Error("the next replica has to wait for the lease")
		}
	})
}

func TestNothingRunsOnceTheContextHasEnded(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var c clock
		var log notes
		j := hourly(func(context.Context) error { t.Error("it ran"); return nil })
		r := runner(d, "a", &c, &log, j)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if ran, err := r.Try(ended, j); ran || err == nil {
			t.Errorf("ran %v, error %v", ran, err)
		}
		r.Run(ended) // returns at once
		if log.String() != "" {
			t.Errorf("logged %q", log.String())
		}
	})
}

func TestADatabaseThatIsAwayIsToldAndSurvived(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		d, err := db.Open(ctx, db.Config{URL: dbURL})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		var c clock
		var log notes
		j := job.Job{Name: "seal", Every: time.Second, Lease: time.Second, Run: func(context.Context) error { t.Error("it ran"); return nil }}
		r := runner(d, "a", &c, &log, j)
		if ran, err := r.Try(ctx, j); ran || err == nil {
			t.Errorf("ran %v, error %v", ran, err)
		}
		stop := begin(r)
		for strings.Count(log.String(), "level=WARN") < 2 { // it goes on looking
			time.Sleep(time.Millisecond)
		}
		stop()
		if diff := cmp.Diff(map[string]job.Last{"seal": {Due: start}}, r.Last()); diff != "" {
			t.Errorf("it claims to know more than its own start:\n%s", diff)
		}
	})
}

// The job has done its work, but the row can't be given back: the error says
// so, and the lease runs out by itself.
func TestARowThatCannotBeGivenBack(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		d, err := db.Open(ctx, db.Config{URL: dbURL})
		if err != nil {
			t.Fatal(err)
		}
		var c clock
		var log notes
		j := hourly(func(context.Context) error { return d.Close() })
		if ran, err := runner(d, "a", &c, &log, j).Try(ctx, j); !ran || err == nil {
			t.Errorf("ran %v, error %v", ran, err)
		}
		back := dbtest.Open(t, dbURL)
		if got := rowOf(t, back, "seal"); got.Holder != "a" || got.Leased != 10*time.Minute || got.Due != never {
			t.Errorf("the row is %+v", got)
		}
		next := hourly(func(context.Context) error { return nil })
		b := runner(back, "b", &c, &log, next)
		if try(t, b, next) {
			t.Error("it was taken while the lease stood")
		}
		c.forward(10 * time.Minute)
		if !try(t, b, next) {
			t.Error("it was not taken when the lease had run out")
		}
	})
}

func TestLastTellsWhatThisReplicaHasSeen(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		var c clock
		var log notes
		var result error
		j := hourly(func(context.Context) error { c.forward(time.Minute); return result })
		other := job.Job{Name: "other", Every: time.Hour, Lease: time.Minute, Run: j.Run}
		a, b := runner(d, "a", &c, &log, j, other), runner(d, "b", &c, &log, j)
		check := func(when string, r *job.Runner, want map[string]job.Last) {
			t.Helper()
			if diff := cmp.Diff(want, r.Last()); diff != "" {
				t.Errorf("%s:\n%s", when, diff)
			}
		}
		unseen := job.Last{Due: start}
		check("before anything was looked at", a, map[string]job.Last{"seal": unseen, "other": unseen})
		try(t, a, j)
		try(t, b, j)
		ran := job.Last{Ran: start, Took: time.Minute, Due: start.Add(61 * time.Minute)}
		check("the one that ran it", a, map[string]job.Last{"seal": ran, "other": unseen})
		check("the one that did not", b, map[string]job.Last{"seal": {Due: ran.Due}})
		// The next period is the other's, and fails; the first learns of it when it
		// looks.
		c.forward(time.Hour)
		result = errors.New("failed")
		try(t, b, j)
		check("before it looks", a, map[string]job.Last{"seal": ran, "other": unseen})
		try(t, a, j)
		ran.Due, ran.Failed = start.Add(122*time.Minute), true
		check("once it has looked", a, map[string]job.Last{"seal": ran, "other": unseen})
		check("the one that failed", b, map[string]job.Last{"seal": {Due: ran.Due, Failed: true, Ran: start.Add(61 * time.Minute), Took: time.Minute}})
		// What is returned is the caller's own.
		l := a.Last()
		l["seal"] = job.Last{}
		delete(l, "other")
		check("after the caller changed it", a, map[string]job.Last{"seal": ran, "other": unseen})
	})
}
