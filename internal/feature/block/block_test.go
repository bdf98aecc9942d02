package block_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/block"
)

func TestParseNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"203.0.113.7": "203.0.113.7/32", " 203.0.113.0/24\n": "203.0.113.0/24", "0.0.0.0/0": "0.0.0.0/0",
		"2001:db8::1": "2001:db8::/64", "2001:db8::1/128": "2001:db8::1/128", "2001:DB8::/32": "2001:db8::/32", "::/0": "::/0",
		"::ffff:203.0.113.7": "203.0.113.7/32", "::ffff:203.0.113.0/120": "203.0.113.0/24",
	} {
		if got, err := block.ParseNetwork(in); err != nil || got.String() != want {
			t.Errorf("%q: %v, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "x", "203.0.113.7/24", "203.0.113.0/33", "203.0.113.0/-1", "203.0.113.0/024", "203.000.113.0", "fe80::1%eth0", "fe80::1%eth0/64", "::ffff:0:0/95",
		"203.0.113.0/24 x", "203.0.113.0-203.0.113.9", "2001:db8::1/64", "203.0.113.7:80",
	} {
		if got, err := block.ParseNetwork(in); fault.As(err) == nil || fault.As(err).Code != "invalid_network" {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
}

// FuzzParseNetwork: what is taken is a network in the one form that is stored, and
// holds no IPv4 in IPv6's clothes.
func FuzzParseNetwork(f *testing.F) {
	for _, s := range []string{"203.0.113.7", "203.0.113.0/24", "2001:db8::1", "::ffff:203.0.113.0/120", "::/0", "fe80::1%x", "1/1", "::ffff:0:0/95"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := block.ParseNetwork(s)
		if err != nil {
			return
		}
		again, err := block.ParseNetwork(n.String())
		if err != nil || again != n || n.Masked() != n || n.Addr().Zone() != "" || n.Addr().Is4In6() {
			t.Errorf("%q: %v, then %v %v", s, n, again, err)
		}
	})
}

// testBlocks is a database with a clock.
type testBlocks struct {
	*testing.T
	db  *db.DB
	now atomic.Int64
}

func each(t *testing.T, test func(o *testBlocks)) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		o := &testBlocks{T: t, db: d}
		o.now.Store(db.Micros(time.Now()))
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO install (one, id, epoch, created_at) VALUES (1, 'x', 1, 0)`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		test(o)
	})
}

func (o *testBlocks) clock() time.Time { return db.Time(o.now.Load()) }

func (o *testBlocks) pass(d time.Duration) { o.now.Add(d.Microseconds()) }

func (o *testBlocks) write(fn func(tx *db.Tx, n int64) error) {
	o.Helper()
	if err := o.db.Write(context.WithoutCancel(o.Context()), func(tx *db.Tx) error {
		n, err := block.Turn(tx)
		if err != nil {
			return err
		}
		return fn(tx, n)
	}); err != nil {
		o.Error(err)
	}
}

func (o *testBlocks) add(network string, life time.Duration) (b block.Block, added bool) {
	o.Helper()
	o.pass(time.Millisecond) // ids are in the order of time
	o.write(func(tx *db.Tx, n int64) (err error) {
		b = block.Block{Network: netip.MustParsePrefix(network)}
		if life > 0 {
			b.ExpiresAt = o.clock().Add(life)
		}
		b, added, err = block.Add(tx, secret.Random{}, n, b, o.clock())
		return err
	})
	return b, added
}

func (o *testBlocks) remove(id string) (done bool) {
	o.Helper()
	o.write(func(tx *db.Tx, n int64) (err error) {
		done, err = block.Remove(tx, n, id, o.clock())
		return err
	})
	return done
}

func (o *testBlocks) page(before string, limit int) (list []block.Block) {
	o.Helper()
	if err := o.db.Read(o.Context(), func(tx *db.Tx) (err error) {
		list, err = block.Page(tx, before, limit, o.clock())
		return err
	}); err != nil {
		o.Fatal(err)
	}
	return list
}

// holds fails the test unless the list blocks just those of the addresses.
func (o *testBlocks) holds(l *block.List, blocked, free []string) {
	o.Helper()
	if err := l.Load(o.Context()); err != nil {
		o.Fatal(err)
	}
	for _, a := range blocked {
		if !l.Has(netip.MustParseAddr(a)) {
			o.Errorf("%s is not blocked", a)
		}
	}
	for _, a := range free {
		if l.Has(netip.MustParseAddr(a)) {
			o.Errorf("%s is blocked", a)
		}
	}
}

// A list that reads on and one that reads everything know the same; a block can be
// added again, removed, added anew, and ends by itself.
func TestABlockComesAndGoes(t *testing.T) {
	each(t, func(o *testBlocks) {
		l := block.NewList(o.db, o.clock)
		if l.Has(netip.Addr{}) || l.Has(netip.MustParseAddr("203.0.113.7")) {
			t.Error("an empty list blocks")
		}
		first, added := o.add("203.0.113.0/24", 0)
		if !added {
			t.Error("a new block was there")
		}
		o.holds(l, []string{"203.0.113.7"}, []string{"203.0.114.7", "::ffff:203.0.113.7"})
		again, added := o.add("203.0.113.0/24", time.Hour)
		if added || again.ID != first.ID || !again.AddedAt.Equal(first.AddedAt) {
			t.Errorf("again: %v %v", again, added)
		}
		o.add("203.0.0.0/16", 2*time.Hour)
		o.add("2001:db8::/48", 0)
		all := []string{"203.0.113.7", "203.0.114.7", "2001:db8:0:ffff::1"}
		o.holds(l, all, []string{"2001:db8:1::1"})
		o.holds(block.NewList(o.db, o.clock), all, []string{"2001:db8:1::1"})

		// The narrow one is over, and the wide one is not.
		o.pass(61 * time.Minute)
		o.holds(l, all, nil)
		if list := o.page("", 9); len(list) != 2 || list[1].Network.String() != "203.0.0.0/16" {
			t.Errorf("in force: %v", list)
		}
		if list := o.page(o.page("", 1)[0].ID, 9); len(list) != 1 {
			t.Errorf("the second page: %v", list)
		}
		if fresh, added := o.add("203.0.113.0/24", 0); !added || fresh.ID == first.ID {
			t.Errorf("after its end: %v %v", fresh, added)
		} else if !o.remove(fresh.ID) || o.remove(fresh.ID) {
			t.Error("a block is removed once")
		}
		o.holds(l, all, nil)
		o.pass(time.Hour)
		o.holds(l, []string{"2001:db8::1"}, []string{"203.0.113.7", "203.0.114.7"})
	})
}

// The sweep drops what is over from memory and then from the database.
func TestTheSweep(t *testing.T) {
	each(t, func(o *testBlocks) {
		l := block.NewList(o.db, o.clock)
		for i := range 5 {
			o.add(fmt.Sprintf("203.0.113.%d/32", i), time.Minute)
		}
		o.add("198.51.100.0/24", 0)
		o.holds(l, []string{"203.0.113.4"}, nil)
		sweep := func(f func(*db.Tx, time.Time, int) (int64, error), want ...int64) {
			t.Helper()
			for _, w := range want {
				if err := o.db.Write(o.Context(), func(tx *db.Tx) error {
					n, err := f(tx, o.clock(), 3)
					if n != w {
						t.Errorf("swept %d, want %d", n, w)
					}
					return err
				}); err != nil {
					t.Fatal(err)
				}
			}
		}
		sweep(block.Expire, 0)
		o.pass(time.Minute)
		sweep(block.Expire, 3, 2, 0)
		o.holds(l, []string{"198.51.100.1"}, []string{"203.0.113.4"})
		if l.Len() != 1 {
			t.Errorf("%d are held", l.Len())
		}
		sweep(block.Forget, 0)
		o.pass(time.Hour)
		sweep(block.Forget, 3, 2, 0)
		o.holds(block.NewList(o.db, o.clock), []string{"198.51.100.1"}, nil)
	})
}

// Many add and remove the same network at once, and a reader that follows ends up
// with what the database says.
func TestAtOnce(t *testing.T) {
	each(t, func(o *testBlocks) {
		l := block.NewList(o.db, o.clock)
		var (
			all     sync.WaitGroup
			created atomic.Int64
			ids     sync.Map
		)
		for range 16 {
			all.Go(func() {
				b, added := o.add("203.0.113.0/24", 0)
				if added {
					created.Add(1)
				}
				ids.Store(b.ID, true)
			})
		}
		all.Wait()
		different := 0
		ids.Range(func(any, any) bool { different++; return true })
		if created.Load() != 1 || different != 1 {
			t.Errorf("%d added it, under %d ids", created.Load(), different)
		}
		done := make(chan bool)
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					if err := l.Load(o.Context()); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
		var writers sync.WaitGroup
		for w := range 8 {
			writers.Go(func() {
				for i := range 10 {
					b, _ := o.add(fmt.Sprintf("203.0.113.%d/32", (w+i)%6), 0)
					if i%3 == 0 {
						o.remove(b.ID)
					}
				}
			})
		}
		writers.Wait()
		close(done)
		all.Wait()
		var in, out []string
		list := o.page("", 100)
		for i := range 6 {
			a := fmt.Sprintf("203.0.113.%d", i)
			if slices.ContainsFunc(list, func(b block.Block) bool { return b.Network.String() == a+"/32" }) {
				in = append(in, a)
			} else {
				out = append(out, a)
			}
		}
		o.remove(list[slices.IndexFunc(list, func(b block.Block) bool { return b.Network.Bits() == 24 })].ID)
		o.holds(l, in, out)
	})
}

// A database that went back in time, and one that was away so long that rows may
// have gone, are read whole.
func TestADatabaseThatWentBack(t *testing.T) {
	each(t, func(o *testBlocks) {
		l := block.NewList(o.db, o.clock)
		o.add("203.0.113.0/24", 0)
		o.add("198.51.100.0/24", 0)
		poll := func() {
			t.Helper()
			if err := o.db.Read(o.Context(), l.Poll); err != nil {
				t.Fatal(err)
			}
		}
		poll()
		o.holds(l, []string{"203.0.113.7", "198.51.100.1"}, nil)
		sql := func(statements ...string) {
			t.Helper()
			if err := o.db.Write(o.Context(), func(tx *db.Tx) error {
				var failed error
				for _, s := range statements {
					_, err := tx.Exec(s)
					failed = errors.Join(failed, err)
				}
				return failed
			}); err != nil {
				t.Fatal(err)
			}
		}
		sql(`DELETE FROM block WHERE network = '198.51.100.0/24'`, `UPDATE install SET block_n = 1`)
		poll()
		o.holds(l, []string{"203.0.113.7"}, []string{"198.51.100.1"})
		sql(`DELETE FROM block`)
		poll()
		o.holds(l, []string{"203.0.113.7"}, nil) // nothing tells
		o.pass(time.Minute)
		poll()
		o.holds(l, nil, []string{"203.0.113.7"})
	})
}

func TestParseReason(t *testing.T) {
	for in, code := range map[string]string{
		"": "", " guesses passwords ": "", strings.Repeat("ä", 200): "",
		strings.Repeat("ä", 201): "reason_too_long", "a\nb": "invalid_reason", "\x1b[31mred": "invalid_reason", "\u202egnp.exe": "invalid_reason",
	} {
		_, err := block.ParseReason(in)
		if f := fault.As(err); (f == nil) != (code == "") || f != nil && f.Code != code {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// BenchmarkHas is a lookup among no blocks and among a million: three quarters
// addresses, the rest networks, one in ten of them IPv6.
func BenchmarkHas(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	address := func() netip.Addr {
		if random.IntN(10) == 0 {
			var a [16]byte
			a[0], a[1] = 0x20, 0x01
			for i := 2; i < 16; i++ {
				a[i] = byte(random.Uint32())
			}
			return netip.AddrFrom16(a)
		}
		v := random.Uint32()
		return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
	}
	asked := make([]netip.Addr, 1<<16)
	for i := range asked {
		asked[i] = address()
	}
	for _, n := range []int{0, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := block.Filled(time.Now, n, func(int) netip.Prefix {
				a := address()
				bits := a.BitLen()
				if a.Is6() {
					bits = 64
				}
				if random.IntN(4) == 0 {
					bits -= 1 + random.IntN(12)
				}
				return netip.PrefixFrom(a, bits).Masked()
			})
			hits := 0
			for i := 0; b.Loop(); i++ {
				if l.Has(asked[i&(len(asked)-1)]) {
					hits++
				}
			}
			b.ReportMetric(float64(l.Len()), "blocks")
		})
	}
}
