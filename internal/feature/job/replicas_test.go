package job

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// process is a replica with clocks of its own.
type process struct {
	*Replicas
	uptime time.Duration
}

func newProcess(d *db.DB, id string, clock time.Time) *process {
	p := &process{}
	p.Replicas = NewReplicas(d, id, func() time.Time { return clock.Add(p.uptime) })
	p.passed = func() time.Duration { return p.uptime }
	return p
}

func (p *process) lives(t *testing.T, d time.Duration) {
	t.Helper()
	p.uptime += d
	if err := p.Beat(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// RATE-4: replicas know how many they are: who came is known with the next beat, who
// said goodbye is gone with it, and who died is gone after a minute, although their
// clocks differ by minutes.
func TestRATE4_WhoIsAlive(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		noon := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
		a, b, c := newProcess(d, "a", noon), newProcess(d, "b", noon.Add(4*time.Minute)), newProcess(d, "c", noon.Add(-4*time.Minute))
		expect := func(when string, want int, all ...*process) {
			t.Helper()
			for _, p := range all {
				if n := p.Alive(); n != want {
					t.Errorf("%s: %s knows of %d, want %d", when, p.id, n, want)
				}
			}
		}
		expect("before anything", 1, a, b)
		for range 2 {
			for _, p := range []*process{a, b, c} {
				p.lives(t, beat)
			}
		}
		expect("three", 3, a, b, c)
		for range 3 { // c hangs
			a.lives(t, beat)
			b.lives(t, beat)
		}
		expect("within the minute", 3, a, b)
		for range 2 {
			a.lives(t, beat)
			b.lives(t, beat)
		}
		expect("after it", 2, a, b)
		c.lives(t, beat)
		a.lives(t, beat)
		b.lives(t, beat)
		expect("c goes on", 3, a, b, c)
		if err := b.leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.lives(t, beat)
		expect("b said goodbye", 2, a)

		// One that starts takes those for alive that it can't know yet to be dead.
		late := newProcess(d, "d", noon)
		late.lives(t, beat)
		expect("d starts", 3, late)
		late.uptime += time.Hour
		expect("it has seen nobody for an hour", 1, late)

		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			n, err := ForgetReplicas(tx, noon.Add(-time.Minute), 10)
			if n != 1 { // c, by its clock
				t.Errorf("%d were forgotten", n)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// RATE-4: sixteen that start at once all get to know of each other.
func TestRATE4_ManyStartAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		all := make([]*process, 16)
		for range 2 {
			var starting sync.WaitGroup
			for i := range all {
				starting.Go(func() {
					if all[i] == nil {
						all[i] = newProcess(d, string(rune('a'+i)), time.Now())
					}
					if err := all[i].Beat(context.Background()); err != nil {
						t.Error(err)
					}
				})
			}
			starting.Wait()
		}
		for _, p := range all {
			if p.Alive() != len(all) {
				t.Errorf("%s knows of %d", p.id, p.Alive())
			}
		}
	})
}
