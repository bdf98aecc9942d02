package lockout_test

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
)

// model is the rules in the plainest form: counts in maps, one caller at a time.
type model struct {
	config lockout.Config
	now    time.Time
	count  map[string]int
	next   map[string]time.Time
	day    map[string]int // up to which the tries of strangers have faded
}

// today counts days since 1970.
func (m *model) today() int { return int(m.now.Unix() / 86400) }

// left is what is left of a bucket: of strangers' tries one fades a day.
func (m *model) left(key string) int {
	if !strings.Contains(key, "known ") || strings.HasPrefix(key, "unknown ") {
		if !strings.HasPrefix(key, "device ") {
			return max(m.count[key]-max(m.today()-m.day[key], 0), 0)
		}
	}
	return m.count[key]
}

// bucket names the two buckets of a client, and what they hold.
func buckets(address, network, device string) (shared, own string, sharedMost, ownMost int) {
	if device != "" {
		return "known " + address, "device " + device, 20, 10
	}
	return "unknown " + address, address + " from " + network, 80, 80
}

func (m *model) allows(address, network, device string) (shared, own string, err error) {
	shared, own, sharedMost, ownMost := buckets(address, network, device)
	switch {
	case m.left(shared) >= sharedMost || m.left(own) >= ownMost:
		err = lockout.ErrLocked
	case m.next[own].After(m.now) && !m.next[own].After(m.now.Add(lockout.DelayMost)):
		err = lockout.ErrDelayed
	}
	return shared, own, err
}

func (m *model) take(address, network, device string) (shared, own string, err error) {
	shared, own, err = m.allows(address, network, device)
	if errors.Is(err, lockout.ErrLocked) && device != "" {
		shared, own, err = m.allows(address, network, "")
	}
	if err != nil {
		return "", "", err
	}
	for _, key := range []string{shared, own} {
		m.count[key] = m.left(key) + 1
		m.day[key] = max(m.day[key], m.today())
	}
	delete(m.next, own)
	if over := m.count[own] - m.config.After; over >= 0 {
		wait := m.config.Delay
		for range over {
			wait = min(2*wait, lockout.DelayMost)
		}
		m.next[own] = m.now.Add(min(wait, lockout.DelayMost))
	}
	return shared, own, nil
}

// held is a try under way, in the model and in the store.
type held struct {
	shared, own string
	try         lockout.Try
}

// Whatever is done in whatever order, the store says what the model says.
func TestPW4_Model(t *testing.T) {
	if os.Getenv("GATEHOUSE_SOAK") != "1" {
		// Each step is a transaction on a disk.
		if err := flag.Set("rapid.checks", "25"); err != nil {
			t.Fatal(err)
		}
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		addresses, networks := []string{"ada@example.org", "eve@example.org"}, []string{"10.0.0.1/32", "10.0.0.2/32", "2001:db8::/64"}
		ids := map[string]string{}
		for _, a := range addresses {
			ids[a] = account(t, d, a)
		}
		rapid.Check(t, func(r *rapid.T) {
			m := &model{
				config: lockout.Config{After: rapid.IntRange(1, 10).Draw(r, "after"),
					Delay: time.Duration(rapid.SampledFrom([]int{1, 30, 700, 900}).Draw(r, "delay")) * time.Second},
				now: start, count: map[string]int{}, next: map[string]time.Time{}, day: map[string]int{},
			}
			s := store(m.config)
			tokens := map[string][]string{}
			err := d.Write(ctx, func(tx *db.Tx) error {
				if _, err := tx.Exec(`DELETE FROM known_device`); err != nil {
					return err
				}
				for _, a := range addresses {
					tokens[a] = []string{"", s.NewDevice(tx, ids[a], a, start), s.NewDevice(tx, ids[a], a, start)}
				}
				_, err := tx.Exec(`DELETE FROM guess`)
				return err
			})
			if err != nil {
				r.Fatal(err)
			}
			var under []held
			pick := func(r *rapid.T) held {
				if len(under) == 0 {
					r.Skip()
				}
				i := rapid.IntRange(0, len(under)-1).Draw(r, "which")
				h := under[i]
				under = append(under[:i], under[i+1:]...)
				return h
			}
			do := func(r *rapid.T, fn func(tx *db.Tx)) {
				if err := d.Write(ctx, func(tx *db.Tx) error { fn(tx); return nil }); err != nil {
					r.Fatal(err)
				}
			}
			r.Repeat(map[string]func(*rapid.T){
				"take": func(r *rapid.T) {
					a, n, which := rapid.SampledFrom(addresses).Draw(r, "address"), rapid.SampledFrom(networks).Draw(r, "network"), rapid.IntRange(0, 2).Draw(r, "device")
					for range rapid.IntRange(1, 12).Draw(r, "times") {
						shared, own, want := m.take(a, n, tokens[a][which])
						try, err := take(d, s, lockout.Client{AddressKey: a, Network: prefix(n), Device: tokens[a][which]}, m.now)
						if !errors.Is(err, want) || (err == nil) != (want == nil) {
							r.Fatalf("the store says %v, the model %v", err, want)
						}
						if err == nil {
							if wait := max(m.next[own].Sub(m.now), 0); try.Delay != wait || try.First != (m.count[own] == m.config.After) {
								r.Fatalf("%+v, the model waits %s after %d", try, wait, m.count[own])
							}
							under = append(under, held{shared, own, try})
						}
					}
				},
				"succeed": func(r *rapid.T) {
					h := pick(r)
					do(r, func(tx *db.Tx) { s.Succeeded(tx, h.try) })
					if m.count[h.own] > 0 {
						m.count[h.shared] = max(m.count[h.shared]-m.count[h.own], 0)
					}
					delete(m.count, h.own)
					delete(m.next, h.own)
					delete(m.day, h.own)
				},
				"give back": func(r *rapid.T) {
					h := pick(r)
					do(r, func(tx *db.Tx) { s.GiveBack(tx, h.try) })
					if m.count[h.own] > 0 {
						m.count[h.shared] = max(m.count[h.shared]-1, 0)
						m.count[h.own]--
					}
				},
				"clear": func(r *rapid.T) {
					a := rapid.SampledFrom(addresses).Draw(r, "address")
					if err := d.Write(ctx, func(tx *db.Tx) error { return s.Clear(tx, a) }); err != nil {
						r.Fatal(err)
					}
					for _, dev := range tokens[a] {
						for _, n := range networks {
							shared, own, _, _ := buckets(a, n, dev)
							delete(m.count, shared)
							delete(m.count, own)
							delete(m.next, own)
							delete(m.day, shared)
							delete(m.day, own)
						}
					}
				},
				"time passes": func(r *rapid.T) {
					m.now = m.now.Add(time.Duration(rapid.IntRange(-1000, 2000).Draw(r, "seconds")) * time.Second)
					m.now = m.now.AddDate(0, 0, rapid.SampledFrom([]int{0, 0, 0, 1, 3, -1}).Draw(r, "days"))
				},
				"": func(r *rapid.T) {
					for _, a := range addresses {
						var st lockout.State
						if err := d.Read(ctx, func(tx *db.Tx) (err error) { st, err = s.StateOf(tx, a, m.now); return err }); err != nil {
							r.Fatal(err)
						}
						if want := (lockout.State{Unknown: m.left("unknown " + a), Known: m.left("known " + a)}); st != want {
							r.Fatalf("%s: the store counts %+v, the model %+v", a, st, want)
						}
					}
				},
			})
		})
	})
}

// Guessing one password at many accounts from many networks is noticed, once a
// window; a busy service whose people mistype is not.
func TestPW4_Spray(t *testing.T) {
	var s lockout.Spray
	reported := 0
	for i := range 300 {
		if n := s.Failed(network(i).String(), network(i%40), start.Add(time.Duration(i)*time.Second)); n > 0 {
			reported++
			if n < lockout.SprayAddresses || n > lockout.SprayAddresses+10 {
				t.Errorf("reported after %d", n)
			}
		}
	}
	if reported != 1 {
		t.Errorf("reported %d times", reported)
	}
	for name, c := range map[string]struct {
		addresses, networks, right int
		want                       bool
	}{
		"many of both":          {200, 50, 0, true},
		"one network":           {200, 1, 0, false},
		"one account":           {1, 200, 0, false},
		"a busy service":        {200, 200, 100, false},
		"hidden among sign-ins": {200, 50, 40, true},
	} {
		var s lockout.Spray
		got := false
		for i := range 200 {
			if i < c.right {
				s.Succeeded(start)
			}
			got = got || s.Failed(network(i%c.addresses).String(), network(i%c.networks), start) > 0
		}
		if got != c.want {
			t.Errorf("%s: reported %v", name, got)
		}
	}
	var slow lockout.Spray
	for i := range 500 {
		if slow.Failed(network(i).String(), network(i), start.Add(time.Duration(i)*time.Minute)) > 0 {
			t.Fatal("what is spread over hours is no flood")
		}
	}
}
