package lockout_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
)

var (
	ctx   = context.Background()
	start = time.Date(2026, 11, 24, 12, 0, 0, 123456000, time.UTC)
	// usual is the settings' default; patient never waits.
	usual   = lockout.Config{After: 5, Delay: 30 * time.Second}
	patient = lockout.Config{After: 1000, Delay: 30 * time.Second}
)

const ada = "ada@example.org"

func store(c lockout.Config) *lockout.Store {
	return lockout.NewStore(c, []byte("a key of the ring, 32 bytes long"), secret.Random{})
}

// network is the i-th of many.
func network(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func from(address string, i int) lockout.Client {
	return lockout.Client{AddressKey: address, Network: network(i)}
}

func take(d *db.DB, s *lockout.Store, c lockout.Client, now time.Time) (t lockout.Try, err error) {
	err = d.Write(ctx, func(tx *db.Tx) error {
		t, err = s.Take(tx, c, now)
		return err
	})
	return t, err
}

func write(t *testing.T, d *db.DB, fn func(tx *db.Tx) error) {
	t.Helper()
	if err := d.Write(ctx, fn); err != nil {
		t.Fatal(err)
	}
}

func state(t *testing.T, d *db.DB, s *lockout.Store, address string) (st lockout.State) {
	t.Helper()
	if err := d.Read(ctx, func(tx *db.Tx) (err error) { st, err = s.StateOf(tx, address, start); return err }); err != nil {
		t.Fatal(err)
	}
	return st
}

// account makes a row that devices can belong to, and returns its id.
func account(t *testing.T, d *db.DB, address string) string {
	t.Helper()
	id := secret.Random{}.ID(start)
	write(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO account (id, email, email_key, name, locale, roles, hash, created_at) VALUES ($1, $2, $2, '', '', '[]', '', 0)`, id, address)
		return err
	})
	return id
}

// device makes a device known and returns its token.
func device(t *testing.T, d *db.DB, s *lockout.Store, id, address string) (token string) {
	t.Helper()
	write(t, d, func(tx *db.Tx) error { token = s.NewDevice(tx, id, address, start); return nil })
	return token
}

// tries takes as many as it can, at one moment, and returns how many passed.
func tries(t *testing.T, d *db.DB, s *lockout.Store, c func(i int) lockout.Client, n int) (passed int) {
	t.Helper()
	for i := range n {
		_, err := take(d, s, c(i), start)
		switch {
		case err == nil:
			passed++
		case fault.KindOf(err) != fault.Limited:
			t.Fatal(err)
		}
	}
	return passed
}

// PW-4, ASVS V6.3.1: a network waits after five in a row, for half a minute,
// then twice as long each time, up to a quarter of an hour; a right password ends
// that. Nobody else waits.
func TestPW4_WaitsDouble(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, now := store(usual), start
		for i, want := range []time.Duration{0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900, 900} {
			want *= time.Second
			try, err := take(d, s, from(ada, 1), now)
			if err != nil || try.Delay != want || try.First != (i == 4) {
				t.Fatalf("try %d: %+v, %v, want a wait of %s", i+1, try, err, want)
			}
			if want == 0 {
				continue
			}
			_, err = take(d, s, from(ada, 1), now.Add(want-time.Second-time.Millisecond))
			f := fault.As(err)
			if !errors.Is(err, lockout.ErrDelayed) || f.RetryAfter != 2*time.Second {
				t.Fatalf("try %d, a second too early: %v", i+2, err)
			}
			if _, err := take(d, s, from("eve@example.org", 1), now); err != nil && i == 4 {
				t.Errorf("another address: %v", err)
			}
			now = now.Add(want)
		}
		if _, err := take(d, s, from(ada, 2), now); err != nil {
			t.Errorf("another network: %v", err)
		}
		if st := state(t, d, s, ada); st.Unknown != 13 {
			t.Errorf("%d tries counted, want 13: those that were refused count for nothing", st.Unknown)
		}
		right, err := take(d, s, from(ada, 1), now)
		if err != nil {
			t.Fatal(err)
		}
		write(t, d, func(tx *db.Tx) error { s.Succeeded(tx, right); return nil })
		if try, err := take(d, s, from(ada, 1), now); err != nil || try.Delay != 0 {
			t.Errorf("after a success: %+v, %v", try, err)
		}
		// The other network's try stays counted.
		if st := state(t, d, s, ada); st.Unknown != 2 {
			t.Errorf("%d tries after the success, want 2", st.Unknown)
		}
	})
}

// GHSA-7h8m-vrxx-vr4m (Zitadel): 64 at once don't get ahead of the count, and
// none deadlocks, whatever they share.
func TestPW4_ManyAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		id := account(t, d, ada)
		for name, c := range map[string]struct {
			config  lockout.Config
			client  func(s *lockout.Store) func(i int) lockout.Client
			n, want int
		}{
			"one network": {usual, func(*lockout.Store) func(int) lockout.Client { return func(int) lockout.Client { return from(ada, 0) } }, 64, 5},
			"two networks": {usual, func(*lockout.Store) func(int) lockout.Client {
				return func(i int) lockout.Client { return from(ada, i%2) }
			}, 64, 10},
			"many": {usual, func(*lockout.Store) func(int) lockout.Client {
				return func(i int) lockout.Client { return from(ada, i) }
			}, 128, 80},
			"one device": {patient, func(s *lockout.Store) func(int) lockout.Client {
				token := device(t, d, s, id, ada)
				return func(int) lockout.Client { return lockout.Client{AddressKey: ada, Network: network(0), Device: token} }
			}, 200, 10 + 80},
			"five devices": {patient, func(s *lockout.Store) func(int) lockout.Client {
				var tokens []string
				for range 5 {
					tokens = append(tokens, device(t, d, s, id, ada))
				}
				return func(i int) lockout.Client {
					return lockout.Client{AddressKey: ada, Network: network(i), Device: tokens[i%5]}
				}
			}, 200, 20 + 80},
		} {
			s := store(c.config)
			client := c.client(s)
			var passed atomic.Int64
			var all sync.WaitGroup
			ready := make(chan struct{})
			for i := range c.n {
				all.Go(func() {
					<-ready
					_, err := take(d, s, client(i), start)
					if err == nil {
						passed.Add(1)
					} else if fault.KindOf(err) != fault.Limited {
						t.Errorf("%s: %v", name, err)
					}
				})
			}
			close(ready)
			all.Wait()
			if got := passed.Load(); got != int64(c.want) {
				t.Errorf("%s: %d of %d passed, want %d", name, got, c.n, c.want)
			}
			write(t, d, func(tx *db.Tx) error { return s.Clear(tx, ada) })
			if st := state(t, d, s, ada); st != (lockout.State{}) {
				t.Errorf("%s: cleared, and yet %+v", name, st)
			}
		}
	})
}

// Takes, successes, give-backs and an operator's clearing at once: nothing
// deadlocks or fails, and no count is ever below zero.
func TestPW4_EverythingAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := store(patient)
		id := account(t, d, ada)
		token := device(t, d, s, id, ada)
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				for j := range 12 {
					c := from(ada, j%3)
					if (i+j)%4 == 0 {
						c.Device = token
					}
					try, err := take(d, s, c, start)
					if err != nil {
						if fault.KindOf(err) != fault.Limited {
							t.Error(err)
						}
						continue
					}
					err = d.Write(ctx, func(tx *db.Tx) error {
						switch (i + j) % 3 {
						case 0:
							s.Succeeded(tx, try)
						case 1:
							s.GiveBack(tx, try)
						case 2:
							if j == 7 {
								return s.Clear(tx, ada)
							}
						}
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		var least int64
		if err := d.Read(ctx, func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT COALESCE(MIN(n), 0) FROM guess`).Scan(&least)
		}); err != nil || least < 0 {
			t.Errorf("a bucket holds %d, %v", least, err)
		}
	})
}

// GHSA-cq42-vhv7-xr7p (Keycloak): a stranger who guesses from everywhere does not
// keep a known device out, and the last of all tries is reported once.
func TestPW4_StrangersDoNotLockTheOwnerOut(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := store(usual)
		id := account(t, d, ada)
		token := device(t, d, s, id, ada)
		last := 0
		for i := range 100 {
			try, err := take(d, s, from(ada, i), start)
			if try.Last {
				last++
			}
			if (err == nil) != (i < lockout.UnknownMost) {
				t.Fatalf("try %d: %v", i+1, err)
			}
			if err != nil && !errors.Is(err, lockout.ErrLocked) {
				t.Fatal(err)
			}
		}
		if last != 1 {
			t.Errorf("%d tries were the last", last)
		}
		// Behind the same network as a stranger who has to wait, too.
		owner := lockout.Client{AddressKey: ada, Network: network(0), Device: token}
		for range 3 {
			try, err := take(d, s, owner, start)
			if err != nil || try.Device == "" {
				t.Fatalf("the owner: %+v, %v", try, err)
			}
		}
		try, err := take(d, s, owner, start)
		if err != nil {
			t.Fatal(err)
		}
		write(t, d, func(tx *db.Tx) error { s.Succeeded(tx, try); return nil })
		if st := state(t, d, s, ada); st.Unknown != 80 || st.Known != 0 {
			t.Errorf("%+v: the owner's success clears the owner's own and nobody else's", st)
		}
		// A stolen or made-up cookie is worth nothing to other addresses.
		for _, bad := range []string{"", "x", ".", token + "x", token[:len(token)-1], "AAAAAAAAAAAAAAAAAAAAAA." + token[23:], token[:22], strings.Repeat("x", 9999)} {
			if _, err := take(d, s, lockout.Client{AddressKey: ada, Network: network(500), Device: bad}, start); !errors.Is(err, lockout.ErrLocked) {
				t.Errorf("%.30q: %v", bad, err)
			}
		}
		if !s.Recognises(token, ada) || s.Recognises(token, "eve@example.org") || s.Recognises("", ada) {
			t.Error("a token is recognised wrongly")
		}
	})
}

// All 100 of NIST SP 800-63B-4 section 3.2.2, and not one more, however they are
// spread; each device has ten.
func TestPW4_AHundredInAll(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := store(patient)
		id := account(t, d, ada)
		tokens := []string{device(t, d, s, id, ada), device(t, d, s, id, ada), device(t, d, s, id, ada)}
		by := map[bool]int{}
		for i := range 300 {
			try, err := take(d, s, lockout.Client{AddressKey: ada, Network: network(i), Device: tokens[i%3]}, start)
			if err == nil {
				by[try.Device != ""]++
			}
		}
		if by[true] != lockout.KnownMost || by[false] != lockout.UnknownMost {
			t.Errorf("%d from known devices and %d from others", by[true], by[false])
		}
		write(t, d, func(tx *db.Tx) error { return s.Clear(tx, ada) })
		own := func(int) lockout.Client {
			return lockout.Client{AddressKey: ada, Network: network(1), Device: tokens[0]}
		}
		if n := tries(t, d, s, own, 15); n != 15 {
			t.Errorf("%d", n)
		}
		if st := state(t, d, s, ada); st.Known != lockout.DeviceMost || st.Unknown != 5 {
			t.Errorf("one device: %+v", st)
		}
	})
}

// A device that is not known any more is a stranger: its cookie opens nothing.
func TestPW4_ForgottenDevices(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := store(usual)
		id, other := account(t, d, ada), account(t, d, "eve@example.org")
		one, two, others := device(t, d, s, id, ada), device(t, d, s, id, ada), device(t, d, s, other, "eve@example.org")
		write(t, d, func(tx *db.Tx) error {
			n, err := lockout.ForgetDevices(tx, id)
			if n != 2 {
				t.Errorf("forgot %d", n)
			}
			return err
		})
		for _, token := range []string{one, two} {
			try, err := take(d, s, lockout.Client{AddressKey: ada, Network: network(1), Device: token}, start)
			if err != nil || try.Device != "" {
				t.Errorf("%+v, %v", try, err)
			}
		}
		if try, err := take(d, s, lockout.Client{AddressKey: "eve@example.org", Network: network(1), Device: others}, start); err != nil || try.Device == "" {
			t.Errorf("another account's: %+v, %v", try, err)
		}
		// Of 25 the 20 that were seen last are known.
		for i := range 25 {
			write(t, d, func(tx *db.Tx) error { s.NewDevice(tx, id, ada, start.Add(time.Duration(i)*time.Second)); return nil })
		}
		var n int
		if err := d.Read(ctx, func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT COUNT(*) FROM known_device WHERE account_id = $1`, id).Scan(&n)
		}); err != nil || n != 20 {
			t.Errorf("%d known devices, %v", n, err)
		}
		write(t, d, func(tx *db.Tx) error {
			swept, err := lockout.ForgetUnused(tx, db.Batch{Before: db.Micros(start.Add(7 * time.Second)), Keys: 500})
			gone := swept.Due
			if gone != 3 { // eve's, and those of the seconds 5 and 6
				t.Errorf("%d were unused", gone)
			}
			return err
		})
	})
}

// A clock that jumps opens no bucket, and shuts nobody out for longer than the
// longest wait.
func TestPW4_ClockJumps(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := store(usual)
		at := func(now time.Time) error { _, err := take(d, s, from(ada, 1), now); return err }
		for i := range 5 {
			if err := at(start.Add(time.Hour)); err != nil {
				t.Fatal(i, err)
			}
		}
		if err := at(start); err != nil { // the wait was written an hour ahead
			t.Errorf("set back an hour: %v", err)
		}
		if err := at(start); !errors.Is(err, lockout.ErrDelayed) {
			t.Errorf("set back an hour, again: %v", err)
		}
		// Ahead no wait is left; the count is, but for one that fades with the day.
		taken := 6
		for i := range 90 {
			if err := at(start.Add(time.Duration(i+1) * lockout.DelayMost)); err == nil {
				taken++
			}
		}
		if taken < lockout.UnknownMost || taken > lockout.UnknownMost+2 {
			t.Errorf("%d are taken", taken)
		}
	})
}

// A try whose password was not checked does not count; a wait stays.
func TestPW4_GiveBack(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := store(usual)
		for range 50 {
			try, err := take(d, s, from(ada, 1), start)
			if err != nil {
				t.Fatal(err)
			}
			write(t, d, func(tx *db.Tx) error { s.GiveBack(tx, try); return nil })
		}
		if st := state(t, d, s, ada); st.Unknown != 0 {
			t.Errorf("%+v", st)
		}
		write(t, d, func(tx *db.Tx) error { return s.Clear(tx, ada) })
		if n := tries(t, d, s, func(int) lockout.Client { return from(ada, 1) }, 9); n != 5 {
			t.Errorf("%d passed", n)
		}
	})
}

// However often the last try comes again, since another was given back, an address is
// locked once a day: its owner gets one mail, whichever of sixteen at once was last. A
// success starts from zero, and so does clearing the address.
func TestPW4_TheLastTryLocksOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := store(patient)
		var last []lockout.Try
		takes := func(at time.Time) (try lockout.Try) {
			t.Helper()
			for i := 0; ; i++ {
				var err error
				if try, err = take(d, s, from(ada, i), at); err != nil {
					t.Fatal(err)
				}
				if try.Last {
					last = append(last, try)
					return try
				}
			}
		}
		lock := func(try lockout.Try, at time.Time) (locks bool) {
			t.Helper()
			write(t, d, func(tx *db.Tx) (err error) { locks, err = s.Locks(tx, try, at); return err })
			return locks
		}
		for range 16 {
			try := takes(start)
			write(t, d, func(tx *db.Tx) error { s.GiveBack(tx, try); return nil })
		}
		var (
			locked atomic.Int64
			wg     sync.WaitGroup
		)
		for _, try := range last {
			wg.Go(func() {
				err := d.Write(ctx, func(tx *db.Tx) error {
					locks, err := s.Locks(tx, try, start)
					if locks {
						locked.Add(1)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(last) != 16 || locked.Load() != 1 {
			t.Errorf("%d of %d last tries locked the address", locked.Load(), len(last))
		}
		other, err := take(d, store(patient), from("eve@example.org", 1), start)
		if err != nil || lock(other, start) {
			t.Errorf("a try that is not the last locks: %v", err)
		}
		try := takes(start)
		if lock(try, start) || !lock(try, start.Add(24*time.Hour)) || lock(try, start) {
			t.Error("it is once a day, by a clock that may be set back")
		}
		write(t, d, func(tx *db.Tx) error { s.Succeeded(tx, try); return nil })
		if try = takes(start.Add(24 * time.Hour)); !lock(try, start.Add(24*time.Hour)) {
			t.Error("after a success it does not lock again")
		}
		write(t, d, func(tx *db.Tx) error { return s.Clear(tx, ada) })
		if lock(try, start.Add(24*time.Hour)) {
			t.Error("a try from before it was cleared locks")
		}
		if try = takes(start.Add(24 * time.Hour)); !lock(try, start.Add(24*time.Hour)) {
			t.Error("after it was cleared it does not lock again")
		}
	})
}

func TestPW4_Forget(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := store(patient)
		for i := range 5 {
			if _, err := take(d, s, from(ada, i), start.Add(time.Duration(i)*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		write(t, d, func(tx *db.Tx) error {
			for _, want := range []int64{2, 1, 0} {
				if s, err := lockout.Forget(tx, db.Batch{Before: db.Micros(start.Add(3 * time.Hour)), Keys: 2}); s.Due != want || err != nil {
					t.Errorf("forgot %+v, %v, want %d", s, err, want)
				}
			}
			return nil
		})
		if st := state(t, d, s, ada); st.Unknown != 5 {
			t.Errorf("%+v: what took a try lately stays", st)
		}
	})
}

// A link works for a day, and once, and makes one device known to its account.
func TestPW4_Links(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := store(usual)
		id := account(t, d, ada)
		var old, late, good string
		write(t, d, func(tx *db.Tx) error {
			old, late, good = s.AddLink(tx, id, ada, start.Add(-lockout.LinkLife)), s.AddLink(tx, id, ada, start.Add(time.Second-lockout.LinkLife)),
				s.AddLink(tx, id, ada, start)
			return nil
		})
		use := func(token string) (of, cookie, value string, err error) {
			err = d.Write(ctx, func(tx *db.Tx) error { of, cookie, value, err = s.UseLink(tx, token, start); return err })
			return of, cookie, value, err
		}
		for _, bad := range []string{"", old, good + "x", "gatehouse_mt_"} {
			if _, _, _, err := use(bad); !errors.Is(err, lockout.ErrLink) {
				t.Errorf("%q: %v", bad, err)
			}
		}
		for _, token := range []string{late, good} {
			of, cookie, value, err := use(token)
			if err != nil || of != id || cookie != s.CookieName(ada) || !s.Recognises(value, ada) {
				t.Errorf("%q %q, %v", of, cookie, err)
			}
			if try, err := take(d, s, lockout.Client{AddressKey: ada, Network: network(1), Device: value}, start); err != nil || try.Device == "" {
				t.Errorf("%+v, %v", try, err)
			}
			if _, _, _, err := use(token); !errors.Is(err, lockout.ErrLink) {
				t.Errorf("a second time: %v", err)
			}
		}
		write(t, d, func(tx *db.Tx) error {
			if s, err := lockout.ForgetLinks(tx, db.Batch{Before: db.Micros(start.Add(2 * time.Second)), Keys: 10}); s.Due != 2 || err != nil {
				t.Errorf("forgot %+v, %v", s, err)
			}
			return nil
		})
	})
}
