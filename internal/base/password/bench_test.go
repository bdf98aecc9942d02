package password

import (
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// BenchmarkThroughput puts the hashes a second that a Hasher of one worker
// makes for eight callers at once compared with bcrypt alone on one core, in
// turns within one run. The goal for vs-bcrypt is 0.95 or more, where nothing
// else wants the cores: the workers step back for whatever does.
func BenchmarkThroughput(b *testing.B) {
	const cost, callers = 10, 8
	h := New(Config{Cost: cost, Workers: 1, Queue: callers, Wait: time.Hour})
	defer h.Close()
	pre := preHash("correct horse battery")
	var bare, pooled time.Duration
	for b.Loop() {
		begun := time.Now()
		for range callers {
			if _, err := bcrypt.GenerateFromPassword(pre, cost); err != nil {
				b.Fatal(err)
			}
		}
		bare += time.Since(begun)

		begun = time.Now()
		errs := make(chan error)
		for range callers {
			go func() {
				_, err := h.Hash(b.Context(), "", "correct horse battery")
				errs <- err
			}()
		}
		for range callers {
			if err := <-errs; err != nil {
				b.Fatal(err)
			}
		}
		pooled += time.Since(begun)
	}
	b.ReportMetric(bare.Seconds()/pooled.Seconds(), "vs-bcrypt")
	b.ReportMetric(float64(b.N*callers)/pooled.Seconds(), "hashes/s")
}

// BenchmarkCheck is what a password of the greatest length costs before it is
// hashed.
func BenchmarkCheck(b *testing.B) {
	long := ""
	for range MaxLength {
		long += apart
	}
	for b.Loop() {
		if _, err := (Policy{}).Check(b.Context(), "password", long); err != nil {
			b.Fatal(err)
		}
	}
}
