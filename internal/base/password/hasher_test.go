package password

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// The tests of the pool run in synctest's bubbles, where time stands still
// until every goroutine waits. A bubble fails if one is left over at its end.

// slow is a bcrypt that takes its time by the bubble's clock and does nothing;
// running, if not nil, sees each one begin and end.
func slow(took time.Duration, running func(by int)) blowfish {
	return blowfish{
		generate: func([]byte, int) ([]byte, error) {
			if running != nil {
				running(+1)
				defer running(-1)
			}
			time.Sleep(took)
			return []byte("$"), nil
		},
		compare: func([]byte, []byte) error { return nil },
	}
}

func wantBusy(t *testing.T, err error, after time.Duration) {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Kind != fault.Unavailable || f.Code != "busy" || f.RetryAfter != after {
		t.Errorf("got %#v, want busy with RetryAfter %s", err, after)
	}
}

func wantStats(t *testing.T, h *Hasher, want Stats) {
	t.Helper()
	if diff := cmp.Diff(want, h.Stats()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Of 64 callers at once no more are served together than there are workers,
// all of the workers serve, and everybody is served.
func TestPoolIsBounded(t *testing.T) {
	for workers := 1; workers <= 5; workers++ {
		synctest.Test(t, func(t *testing.T) {
			var now, most atomic.Int64
			h := start(Config{Cost: 4, Workers: workers, Queue: 64, Wait: time.Hour}, slow(time.Second, func(by int) {
				n := now.Add(int64(by))
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
			}))
			defer h.Close()
			errs := make(chan error)
			begun := time.Now()
			for i := range 64 {
				go func() {
					if i%2 == 0 {
						errs <- h.VerifyNobody(t.Context(), "correct horse battery")
						return
					}
					_, err := h.Hash(t.Context(), "", "correct horse battery")
					errs <- err
				}()
			}
			for range 64 {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			if most.Load() != int64(workers) {
				t.Errorf("%d at once, want %d", most.Load(), workers)
			}
			if took, want := time.Since(begun), time.Duration((64+workers-1)/workers)*time.Second; took != want {
				t.Errorf("took %s, want %s", took, want)
			}
			wantStats(t, h, Stats{Workers: workers, Done: 64})
		})
	}
}

// ASVS V15.2.2: who comes when the queue is full is turned away at once, and
// nothing is hashed for them.
func TestFullQueueSheds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun atomic.Int64
		h := start(Config{Cost: 4, Workers: 1, Queue: 2}, slow(250*time.Millisecond, func(by int) { begun.Add(int64(max(by, 0))) }))
		defer h.Close()
		errs := make(chan error, 3)
		for range 3 {
			go func() { errs <- h.VerifyNobody(t.Context(), "correct horse battery") }()
		}
		synctest.Wait()
		wantStats(t, h, Stats{Workers: 1, Busy: 1, Queued: 2})
		before := time.Now()
		for range 5 {
			wantBusy(t, h.VerifyNobody(t.Context(), "correct horse battery"), time.Second)
		}
		if !time.Now().Equal(before) {
			t.Error("the caller had to wait for the refusal")
		}
		wantStats(t, h, Stats{Workers: 1, Busy: 1, Queued: 2, Shed: 5})
		for range 3 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if err := h.VerifyNobody(t.Context(), "correct horse battery"); err != nil {
			t.Errorf("refused although nobody waits any more: %v", err)
		}
		if begun.Load() != 4 {
			t.Errorf("hashed %d times, want 4", begun.Load())
		}
		wantStats(t, h, Stats{Workers: 1, Shed: 5, Done: 4})
	})
}

// Without a queue a free worker still serves, one caller after another.
func TestNoQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(Config{Cost: 4, Workers: 1, Queue: -1}, slow(time.Second, nil))
		defer h.Close()
		for range 100 {
			if err := h.VerifyNobody(t.Context(), "correct horse battery"); err != nil {
				t.Fatal(err)
			}
		}
		go func() { _ = h.VerifyNobody(t.Context(), "correct horse battery") }()
		synctest.Wait()
		wantBusy(t, h.VerifyNobody(t.Context(), "correct horse battery"), time.Second)
	})
}

// Nobody waits longer than Wait, however short the queue is.
func TestWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(Config{Cost: 4, Workers: 1, Queue: 8, Wait: 1500 * time.Millisecond}, slow(time.Minute, nil))
		defer h.Close()
		go func() { _ = h.VerifyNobody(t.Context(), "correct horse battery") }()
		synctest.Wait()
		before := time.Now()
		wantBusy(t, h.VerifyNobody(t.Context(), "correct horse battery"), time.Second)
		if waited := time.Since(before); waited != 1500*time.Millisecond {
			t.Errorf("waited %s", waited)
		}
		wantStats(t, h, Stats{Workers: 1, Busy: 1, Shed: 1})
	})
}

// Callers are served in the order in which they came; whoever has gone
// meanwhile leaves a place for another, and nothing is hashed for them.
func TestFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers = 10
		name := func(i int) string { return fmt.Sprintf("correct horse battery %d", i) }
		var served []int // one worker alone writes it, and Close comes before it is read
		b := slow(time.Second, nil)
		generate := b.generate
		b.generate = func(pre []byte, cost int) ([]byte, error) {
			for i := range callers + 1 {
				if string(preHash(name(i))) == string(pre) {
					served = append(served, i)
				}
			}
			return generate(pre, cost)
		}
		h := start(Config{Cost: 4, Workers: 1, Queue: callers - 1, Wait: time.Hour}, b)
		leave := map[int]context.CancelFunc{}
		errs := make([]error, callers+1)
		come := func(i int) {
			ctx, cancel := context.WithCancel(t.Context())
			leave[i] = cancel
			go func() { _, errs[i] = h.Hash(ctx, "", name(i)) }()
			synctest.Wait()
		}
		for i := range callers {
			come(i)
		}
		leave[3]()
		leave[7]()
		synctest.Wait()
		wantStats(t, h, Stats{Workers: 1, Busy: 1, Queued: callers - 3})
		come(callers)
		leave[0]() // served already: it is finished all the same
		time.Sleep(time.Hour)
		h.Close()
		synctest.Wait()
		for i, err := range errs {
			if left := i == 3 || i == 7; errors.Is(err, context.Canceled) != left || (err != nil) != left {
				t.Errorf("caller %d: %v", i, err)
			}
			leave[i]()
		}
		if diff := cmp.Diff([]int{0, 1, 2, 4, 5, 6, 8, 9, 10}, served); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		wantStats(t, h, Stats{Workers: 1, Done: callers - 1})
	})
}

// A context that has ended, or ends by its own deadline while waiting, costs
// no work and is no refusal of ours.
func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun atomic.Int64
		h := start(Config{Cost: 4, Workers: 1}, slow(time.Minute, func(by int) { begun.Add(int64(max(by, 0))) }))
		defer h.Close()
		over, cancel := context.WithCancel(t.Context())
		cancel()
		for range 64 { // with a worker free, a select alone leaves it to chance
			synctest.Wait()
			if err := h.VerifyNobody(over, "correct horse battery"); !errors.Is(err, context.Canceled) {
				t.Errorf("ended before: %v", err)
			}
		}
		if begun.Load() != 0 {
			t.Error("hashed for nobody")
		}
		go func() { _ = h.VerifyNobody(t.Context(), "correct horse battery") }()
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := time.Now()
		if err := h.VerifyNobody(short, "correct horse battery"); !errors.Is(err, context.DeadlineExceeded) || fault.As(err) != nil {
			t.Errorf("ended while waiting: %v", err)
		}
		if time.Since(before) != time.Second || begun.Load() != 1 {
			t.Errorf("left after %s, with %d hashed", time.Since(before), begun.Load())
		}
		wantStats(t, h, Stats{Workers: 1, Busy: 1})
	})
}

// Close finishes what has begun, turns away who waits and who comes later, and
// may be called twice.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(Config{Cost: 4, Workers: 1}, slow(time.Second, nil))
		errs := make([]error, 3)
		for i := range errs {
			go func() { errs[i] = h.VerifyNobody(t.Context(), "correct horse battery") }()
			synctest.Wait()
		}
		before := time.Now()
		h.Close()
		if time.Since(before) != time.Second {
			t.Errorf("closed after %s", time.Since(before))
		}
		synctest.Wait()
		if errs[0] != nil {
			t.Errorf("what had begun: %v", errs[0])
		}
		wantBusy(t, errs[1], time.Second)
		wantBusy(t, errs[2], time.Second)
		wantBusy(t, h.VerifyNobody(t.Context(), "correct horse battery"), time.Second)
		h.Close()
		wantStats(t, h, Stats{Workers: 1, Shed: 3, Done: 1})
	})
}

// A panic is its caller's error: the worker and its place are there for the
// next one.
func TestPanicIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := slow(time.Second, nil)
		generate, broken := b.generate, true
		b.generate = func(pre []byte, cost int) ([]byte, error) {
			if broken {
				panic("broken")
			}
			return generate(pre, cost)
		}
		h := start(Config{Cost: 4, Workers: 1, Queue: -1}, b)
		defer h.Close()
		for range 3 {
			stored, err := h.Hash(t.Context(), "", "correct horse battery")
			if stored != "" || err == nil || !strings.Contains(err.Error(), "broken") || fault.KindOf(err) != fault.Internal {
				t.Fatalf("got %q, %v", stored, err)
			}
			if strings.Contains(err.Error(), "horse") {
				t.Errorf("the error repeats the password: %v", err)
			}
		}
		wantStats(t, h, Stats{Workers: 1, Done: 3})
		broken = false
		if _, err := h.Hash(t.Context(), "", "correct horse battery"); err != nil {
			t.Error(err)
		}
	})
}

// What bcrypt itself fails with is an error and never a match.
func TestFailingWork(t *testing.T) {
	const stored = "h1:$2a$04$abcdefghijklmnopqrstuu/ftPC/VKVMUq1QliQw4aIVbd74XOhd2"
	failed := errors.New("failed")
	fails := blowfish{
		generate: func([]byte, int) ([]byte, error) { return nil, failed },
		compare:  func([]byte, []byte) error { return failed },
	}
	topUpFails := blowfish{generate: fails.generate, compare: func([]byte, []byte) error { return nil }}
	for _, b := range []blowfish{fails, topUpFails} {
		h := open(t, Config{Cost: 5}, b)
		if r, err := h.Verify(t.Context(), "", stored, "correct horse battery"); !errors.Is(err, failed) || r.OK || r.Upgrade {
			t.Errorf("Verify: %+v, %v", r, err)
		}
		if s, err := h.Hash(t.Context(), "", "correct horse battery"); !errors.Is(err, failed) || s != "" {
			t.Errorf("Hash: %q, %v", s, err)
		}
		if err := h.VerifyNobody(t.Context(), "correct horse battery"); !errors.Is(err, failed) {
			t.Errorf("VerifyNobody: %v", err)
		}
	}
}

// The wait bounds the queue in time; its length only bounds what it costs.
func TestDefaults(t *testing.T) {
	cores := max(runtime.GOMAXPROCS(0)-1, 1)
	for _, c := range []struct{ in, want Config }{
		{Config{}, Config{Cost: 12, Workers: cores, Queue: 1024, Wait: 8 * time.Second}},
		{Config{Workers: 7, Cost: 16, Wait: time.Second}, Config{Cost: 16, Workers: 7, Queue: 1024, Wait: time.Second}},
		{Config{Workers: 2, Queue: 3}, Config{Cost: 12, Workers: 2, Queue: 3, Wait: 8 * time.Second}},
		{Config{Workers: 2, Queue: -1}, Config{Cost: 12, Workers: 2, Queue: 0, Wait: 8 * time.Second}},
	} {
		if diff := cmp.Diff(c.want, c.in.withDefaults()); diff != "" {
			t.Errorf("%+v: -want +got:\n%s", c.in, diff)
		}
	}
	for _, c := range []Config{{Cost: 3}, {Cost: 17}, {Cost: -1}, {Workers: -1}, {Wait: -1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v is accepted", c)
				}
			}()
			New(c).Close()
		}()
	}
}

// An account without a password has none that is right: not the empty one either. It costs a comparison.
func TestNoPasswordIsRightWhereThereIsNone(t *testing.T) {
	h := New(Config{Cost: MinCost, Workers: 1})
	t.Cleanup(h.Close)
	for i, pass := range []string{"", "correct horse battery staple", "\x00"} {
		r, err := h.Verify(t.Context(), "a", "", pass)
		if err != nil || r.OK || r.Upgrade {
			t.Errorf("%q: %+v, %v", pass, r, err)
		}
		if done := h.Stats().Done; done != uint64(i)+1 {
			t.Errorf("%q: %d pieces of work", pass, done)
		}
	}
	if _, changed, err := NewPepper("pepper").Reseal("a", ""); changed || err != nil {
		t.Errorf("nothing was sealed: %v, %v", changed, err)
	}
}
