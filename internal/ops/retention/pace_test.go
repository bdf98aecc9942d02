package retention

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/hold"
	"github.com/gatehouse-auth/gatehouse/internal/test/mutant"
)

const ms = time.Millisecond

// A batch that takes too long is halved, one that takes half of what it may is doubled, and in between nothing
// changes; the bounds hold.
func TestRET4_BatchesAreSizedByTime(t *testing.T) {
	p := newPace(speed{20 * ms, 3})
	for i, step := range []struct {
		took time.Duration
		keys int
	}{
		{10 * ms, 250}, {10*ms + 1, 250}, {20 * ms, 250}, {20*ms + 1, 125}, {time.Hour, 62}, {0, 124}, {-time.Hour, 248}, {1, 496}, {1, 992}, {1, 1984}, {1, 2000},
		{1, 2000}, {21 * ms, 1000},
	} {
		if p.next(step.took, false); p.keys != step.keys {
			t.Errorf("step %d, %s: %d keys, want %d", i, step.took, p.keys, step.keys)
		}
	}
	for range 20 {
		p.next(time.Hour, false)
	}
	if p.keys != 1 {
		t.Errorf("%d keys at the least", p.keys)
	}
}

// The rest is a multiple of the batch's time, ten times that while somebody waits, and has a bound.
func TestRET4_RestsAreMultiplesOfBatches(t *testing.T) {
	for _, one := range []struct {
		dialect db.Dialect
		took    time.Duration
		waited  bool
		rest    time.Duration
	}{
		{db.Postgres, 20 * ms, false, 60 * ms}, {db.Postgres, 20 * ms, true, 600 * ms}, {db.SQLite, 2 * ms, false, 38 * ms}, {db.SQLite, 2 * ms, true, 380 * ms},
		// Who waits is let in, however short the batch was.
		{db.Postgres, 1, true, 200 * ms}, {db.SQLite, 0, true, 20 * ms}, {db.SQLite, 0, false, 0},
		// A clock that leaps does not stop it for long, nor have it go backwards.
		{db.Postgres, 24 * time.Hour, false, 30 * time.Second}, {db.Postgres, 24 * time.Hour, true, 30 * time.Second}, {db.Postgres, -24 * time.Hour, false, 0},
	} {
		if rest := newPace(speeds[one.dialect]).next(one.took, one.waited); rest != one.rest {
			t.Errorf("%s, %s, waited %t: a rest of %s, want %s", one.dialect, one.took, one.waited, rest, one.rest)
		}
	}
}

// The pacer measures each batch by its clock, rests behind each but the last, and notices who waited since the batch before.
func TestRET4_ThePacerRestsBehindEachBatch(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	var (
		now   = time.Unix(1_800_000_000, 0)
		waits int64
		rests []time.Duration
		sizes []int
		takes = []time.Duration{ms, ms, 4 * ms, 2 * ms, ms}
	)
	p := NewPacer(d)
	p.Now = func() time.Time { return now }
	p.Waits = func() int64 { return waits }
	p.Rest = func(_ context.Context, d time.Duration) error {
		rests = append(rests, d)
		if len(rests) == 2 {
			waits++ // somebody comes during a rest, and counts with the next batch
		}
		return nil
	}
	work := func(_ *db.Tx, keys int) (bool, error) {
		now = now.Add(takes[len(sizes)])
		sizes = append(sizes, keys)
		return len(sizes) < len(takes), nil
	}
	if err := p.Run(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	if want := []time.Duration{19 * ms, 19 * ms, 760 * ms, 38 * ms}; !slices.Equal(rests, want) {
		t.Errorf("rests of %v, want %v", rests, want)
	}
	if want := []int{125, 250, 500, 250, 250}; !slices.Equal(sizes, want) {
		t.Errorf("batches of %v, want %v", sizes, want)
	}
	// A rest that ends early ends the run, and so does a batch that fails.
	stop := errors.New("stop")
	p.Rest = func(context.Context, time.Duration) error { return stop }
	if err := p.Run(t.Context(), func(*db.Tx, int) (bool, error) { return true, nil }); !errors.Is(err, stop) {
		t.Errorf("a rest that was broken off: %v", err)
	}
	if err := p.Run(t.Context(), func(*db.Tx, int) (bool, error) { return true, stop }); !errors.Is(err, stop) {
		t.Errorf("a batch that failed: %v", err)
	}
}

// A sweep goes on behind the last key, never looks at more than 2,000, and ends at a batch that is not full.
func TestRET4_ASweepGoesOnBehindTheLastKey(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	p := NewPacer(d)
	p.Now = func() time.Time { return time.Unix(1_800_000_000, 0) } // each batch takes no time, so they grow
	p.Rest = func(context.Context, time.Duration) error { return nil }
	const keys = 9_000
	var at, most, batches int
	err := p.Sweep(t.Context(), time.Unix(7, 0), func(_ *db.Tx, b db.Batch) (s db.Swept, err error) {
		batches++
		if b.After.At != int64(at) || b.Before != 7_000_000 || b.Dry {
			t.Errorf("batch %d is %+v, want one behind %d", batches, b, at)
		}
		most = max(most, b.Keys)
		s.Looked = min(b.Keys, keys-at)
		at += s.Looked
		s.Last.At = int64(at)
		return s, nil
	})
	if err != nil || at != keys || most != 2000 || batches != 8 {
		t.Errorf("%d of %d keys in %d batches of up to %d, %v", at, keys, batches, most, err)
	}
}

// The clock: what follows a look, by how far the clock went since the last.
func TestRET4_AClockThatLeaptIsNotBelieved(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	day := 24 * time.Hour
	for name, one := range map[string]struct {
		looked, wait time.Duration // before and after now; 0 is none
		want         time.Duration
	}{
		"the first look":                         {0, 0, 0},
		"an hour ago":                            {-time.Hour, 0, 0},
		"a day ago":                              {-day, 0, 0},
		"over a day ago":                         {-day - 1, 0, day},
		"a year ago":                             {-365 * day, 0, day},
		"a little ahead":                         {time.Hour, 0, 0},
		"ahead: the clock went back":             {time.Hour + 1, 0, day},
		"a year ahead":                           {365 * day, 366 * day, day},
		"an hour ago, and it waits":              {-time.Hour, 5 * time.Hour, 5 * time.Hour},
		"an hour ago, and it waits for too long": {-time.Hour, day + 1, day},
		"an hour ago, and the wait is over":      {-time.Hour, -1, 0},
	} {
		s := Standing{}
		if one.looked != 0 {
			s.Looked = now.Add(one.looked)
		}
		if one.wait != 0 {
			s.Wait = now.Add(one.wait)
		}
		s.look(now)
		if wait := s.Wait.Sub(now); one.want == 0 && !s.Wait.IsZero() || one.want != 0 && wait != one.want || !s.Looked.Equal(now) {
			t.Errorf("%s: waits until %s from now, want %s", name, wait, one.want)
		}
	}
}

// The timetable: each hour, ten minutes after what failed or waits, and never while a hold stands.
func TestRET4_WhenARunIsDue(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, one := range map[string]struct {
		s       Standing
		due     bool
		trouble int64
	}{
		"never ran":                 {Standing{}, true, 0},
		"an hour ago":               {Standing{Ran: ago(time.Hour)}, true, 0},
		"less than an hour ago":     {Standing{Ran: ago(time.Hour - 1)}, false, 0},
		"in time to come":           {Standing{Ran: ago(-1)}, true, 0},
		"26 hours ago":              {Standing{Ran: ago(Late)}, true, 0},
		"longer ago":                {Standing{Ran: ago(Late + 1)}, true, 1},
		"failed of late":            {Standing{Ran: ago(time.Hour), Looked: ago(retry - 1), Failures: 1}, false, 0},
		"failed a while ago":        {Standing{Ran: ago(1), Looked: ago(retry), Failures: 2}, true, 0},
		"failed three times":        {Standing{Ran: ago(1), Looked: ago(1), Failures: 3}, false, 1},
		"waits":                     {Standing{Looked: ago(1), Wait: ago(-1)}, false, 0},
		"waits, looked a while ago": {Standing{Looked: ago(retry), Wait: ago(-1)}, true, 0},
		"failed in time to come":    {Standing{Looked: ago(-1), Failures: 1}, true, 0},
	} {
		if due := one.s.due(now); due != one.due {
			t.Errorf("%s: due is %t", name, due)
		}
		if n := one.s.Trouble(now); n != one.trouble {
			t.Errorf("%s: trouble is %d", name, n)
		}
		one.s.Hold = &hold.Hold{}
		if one.s.due(now) || one.s.Trouble(now) != 0 {
			t.Errorf("%s, and a hold: due %t, trouble %d", name, one.s.due(now), one.s.Trouble(now))
		}
	}
}

var mutants = []mutant.Mutant{
	{Name: "no batch is halved", File: "pace.go", From: "p.keys = max(p.keys/2, leastKeys)", To: "p.keys = max(p.keys, leastKeys)"},
	{Name: "a batch as long as it may is halved", File: "pace.go", From: "took > p.goal {", To: "took >= p.goal {"},
	{Name: "batches grow past half of the goal", File: "pace.go", From: "took <= p.goal/2", To: "took <= p.goal"},
	{Name: "batches grow at less than half of the goal", File: "pace.go", From: "took <= p.goal/2", To: "took < p.goal/2"},
	{Name: "batches grow without end", File: "pace.go", From: "min(2*p.keys, mostKeys)", To: "2 * p.keys"},
	{Name: "batches shrink to nothing", File: "pace.go", From: "max(p.keys/2, leastKeys)", To: "p.keys / 2"},
	{Name: "no rest", File: "pace.go", From: "rest = p.rests * took", To: "rest = 0 * took"},
	{Name: "no longer rest for those who wait", File: "pace.go", From: "busyRests * max(rest, p.goal)", To: "max(rest, p.goal)"},
	{Name: "a short batch lets nobody in", File: "pace.go", From: "busyRests * max(rest, p.goal)", To: "busyRests * rest"},
	{Name: "a rest without end", File: "pace.go", From: "return min(rest, longestRest)", To: "return rest"},
	{Name: "a clock that goes back is believed", File: "pace.go", From: "took = max(took, 0)", To: "took = max(took, took)"},
	{Name: "who waits is told from the beginning on", File: "pace.go", From: "waits = now", To: "waits = min(waits, now)"},
	{Name: "who waits is not asked for", File: "pace.go", From: "size.next(took, now > waits)", To: "size.next(took, false)"},
	{Name: "each batch begins at the front", File: "pace.go", From: "b.After = s.Last", To: "b.Keys = s.Looked"},
	{Name: "a batch that is full is the last", File: "pace.go", From: "return s.Looked == keys, within(tx, s)", To: "return s.Looked > keys, within(tx, s)"},
	{Name: "a leap ahead is believed", File: "state.go", From: "ahead > leapt ||", To: "ahead > 1000*leapt ||"},
	{Name: "a leap back is believed", File: "state.go", From: " || ahead < -slack", To: ""},
	{Name: "a wait that a wrong clock wrote stays", File: "state.go", From: " || s.Wait.Sub(now) > settles)", To: ")"},
	{Name: "what failed is tried each minute", File: "state.go", From: "s.Failures > 0 || s.Wait.After(now)", To: "s.Wait.After(now)"},
	{Name: "a hold is none", File: "state.go", From: "if s.Hold != nil {\n\t\treturn false", To: "if s.Hold != nil {\n\t\treturn true"},
}

// Each mistake in the pacing, the look at the clock and the timetable is found.
func TestRET4_TheTestsFindTheMistakes(t *testing.T) {
	mutant.Judge(t, "Batches|Rests|Pacer|Sweep|Clock|Due", mutants)
}
