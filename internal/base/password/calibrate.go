package password

import (
	"runtime"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Measure is how long one hash takes on one core of this machine.
type Measure struct {
	// Cost is bcrypt's, or 0; Argon2 is argon2id's parameters, if Cost is 0.
	Cost   int
	Argon2 Argon2
	Took   time.Duration
	// PerSecond is how many a server makes that has the machine to itself, with
	// all cores but one.
	PerSecond float64
	// Fits is set for the strongest of either algorithm that takes no longer than
	// was asked for.
	Fits bool
}

// Calibrate measures hashes from the least that is safe in production upwards,
// until one takes over twice as long as the most.
func Calibrate(most time.Duration) []Measure {
	workers := float64(max(runtime.GOMAXPROCS(0)-1, 1))
	pre := preHash("a password to measure with")
	var out []Measure
	try := func(m Measure, hash func()) (goOn bool) {
		m.Took = best(hash)
		m.PerSecond = workers / m.Took.Seconds()
		out = append(out, m)
		return m.Took <= 2*most
	}
	for cost := DefaultCost; cost <= MaxCost; cost++ {
		if !try(Measure{Cost: cost}, func() { _, _ = bcrypt.GenerateFromPassword(pre, cost) }) {
			break
		}
	}
	for _, a := range []Argon2{{19 << 10, 2, 1}, {32 << 10, 2, 1}, {64 << 10, 2, 1}, {64 << 10, 3, 1}, {128 << 10, 3, 1}, {256 << 10, 3, 1}, {512 << 10, 3, 1}} {
		if !try(Measure{Argon2: a}, func() { _ = a.make(secret.Random{}, pre) }) {
			break
		}
	}
	markFitting(out, most)
	return out
}

// markFitting marks the strongest of each algorithm that is quick enough, or its
// first if none is: nothing weaker is safe.
func markFitting(list []Measure, most time.Duration) {
	for _, bcrypt := range []bool{true, false} {
		fits := -1
		for i, m := range list {
			if (m.Cost > 0) == bcrypt && (fits < 0 || m.Took <= most) {
				fits = i
			}
		}
		if fits >= 0 {
			list[fits].Fits = true
		}
	}
}

// best is the shortest of a few tries: the others were disturbed.
func best(hash func()) time.Duration {
	least := time.Duration(1<<63 - 1)
	for range 3 {
		began := time.Now()
		hash()
		least = min(least, time.Since(began))
	}
	return max(least, time.Microsecond)
}
