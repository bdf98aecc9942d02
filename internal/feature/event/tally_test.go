package event

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

var ctx = context.Background()

func newTally(d *db.DB) *Tally {
	return NewTally(d, NewLog(slog.New(slog.DiscardHandler), secret.Random{}, time.Now, nil))
}

func from(address string) Origin {
	o := Origin{UserAgent: "agent of " + address}
	if address != "" {
		o.Address = netip.MustParseAddr(address)
	}
	return o
}

// network returns the i-th of many IPv4 addresses.
func network(i int) Origin {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 10<<24+uint32(i))
	return Origin{Address: netip.AddrFrom4(a)}
}

// written returns the count of each event that was written, by kind, reason and
// the address of the first, and how many events those are.
func written(t testing.TB, d *db.DB) (counts map[string]int64, events int) {
	t.Helper()
	counts = map[string]int64{}
	err := d.Read(ctx, func(tx *db.Tx) error {
		page, err := (*Log)(nil).OfPerson(tx, "", "", 1<<20)
		for _, e := range page {
			if e.Outcome != Failure || e.Account != "" || e.Session != "" {
				t.Errorf("written: %+v", e)
			}
			counts[fmt.Sprint(e.Kind, " ", e.Detail.Reason, " ", e.Address)] += e.Detail.Count
		}
		events = len(page)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return counts, events
}

func sum(counts map[string]int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// closed returns a database that is away.
func closed(t testing.TB, dbURL string) *db.DB {
	t.Helper()
	d, err := db.Open(ctx, db.Config{URL: dbURL})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return d
}

func (t *Tally) flush(tb testing.TB) {
	tb.Helper()
	if err := t.Flush(ctx); err != nil {
		tb.Fatal(err)
	}
}

// RATE-3: what comes from one network, or one IPv6 site of many, is one event with the count.
func TestRATE3_TallyCountsByNetworkKindAndReason(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tally := newTally(d)
		for _, a := range []string{"192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::ffff:ffff", "2001:db8:0:1::1",
			"2001:db8:1::1", "fe80::1%eth0", "fe80::1%eth1", "", ""} {
			tally.Add(SuspiciousActivity, "forged", from(a))
		}
		tally.Add(SuspiciousActivity, "refused", from("192.0.2.1"))
		tally.Add(FailedLogin, "forged", from("192.0.2.1"))
		if counts, _ := written(t, d); len(counts) != 0 {
			t.Errorf("written before the flush: %v", counts)
		}
		tally.flush(t)
		want := map[string]int64{
			"suspicious_activity forged 192.0.2.1": 3, "suspicious_activity forged 192.0.2.2": 1, "suspicious_activity forged 2001:db8::1": 3,
			"suspicious_activity forged 2001:db8:1::1": 1, "suspicious_activity forged fe80::1%eth0": 2, "suspicious_activity forged ": 2,
			"suspicious_activity refused 192.0.2.1": 1, "failed_login_attempt forged 192.0.2.1": 1,
		}
		counts, events := written(t, d)
		if diff := cmp.Diff(want, counts); diff != "" || events != len(want) {
			t.Errorf("%d events:\n%s", events, diff)
		}
		tally.flush(t)
		if _, again := written(t, d); again != events {
			t.Error("a second flush wrote something, and there was nothing to write")
		}
		tally.Add(FailedLogin, "forged", from("192.0.2.1"))
		tally.flush(t)
		want["failed_login_attempt forged 192.0.2.1"]++
		if counts, _ := written(t, d); !cmp.Equal(counts, want) {
			t.Errorf("after another: %v", counts)
		}
	})
}

func TestTallyIsBoundedAndCountsTheRestTogether(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tally := newTally(d)
		const beyond = 500
		for i := range tallyMax + beyond {
			tally.Add(SuspiciousActivity, "forged", network(i))
			tally.Add(SuspiciousActivity, "forged", network(i%7))
		}
		if n := len(tally.counts); n > tallyMax+1 {
			t.Errorf("%d are counted apart", n)
		}
		tally.flush(t)
		counts, events := written(t, d)
		if total := sum(counts); total != 2*(tallyMax+beyond) || events != tallyMax+1 || counts["suspicious_activity forged "] != beyond {
			t.Errorf("%d events with %d in all, %d of them under no address", events, total, counts["suspicious_activity forged "])
		}
		if d.Dialect() == db.Postgres { // there tx distinguishes the transactions
			var most int
			err := d.Read(ctx, func(tx *db.Tx) error {
				return tx.QueryRow(`SELECT max(n) FROM (SELECT count(*) AS n FROM event GROUP BY tx) AS t`).Scan(&most)
			})
			if err != nil || most > flushMax {
				t.Errorf("others wait for %d events, error %v", most, err)
			}
		}
	})
}

// A flush that fails half-way gives back what is not written, and no more.
func TestTallyWritesNothingTwice(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tally := newTally(d)
		for i := range 4 * flushMax {
			tally.Add(SuspiciousActivity, "forged", network(i))
		}
		halfway, cancel := context.WithCancel(ctx)
		defer cancel()
		n := 0
		tally.log.count = func(Kind, Outcome) {
			if n++; n == 2*flushMax {
				cancel()
			}
		}
		if err := tally.Flush(halfway); err == nil {
			t.Fatal("the flush was not interrupted")
		}
		if _, events := written(t, d); events != 2*flushMax || len(tally.counts) != 2*flushMax {
			t.Errorf("interrupted after %d, and %d are given back", events, len(tally.counts))
		}
		tally.flush(t)
		if counts, events := written(t, d); events != 4*flushMax || sum(counts) != 4*flushMax {
			t.Errorf("%d events with %d in all", events, sum(counts))
		}
	})
}

func TestTallyLosesNothingWhileTheDatabaseIsAway(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		back := dbtest.Open(t, dbURL)
		tally := newTally(closed(t, dbURL))
		for range 3 {
			tally.Add(SuspiciousActivity, "forged", from("192.0.2.1"))
			tally.Add(SuspiciousActivity, "forged", from("2001:db8::1"))
			if err := tally.Flush(ctx); err == nil {
				t.Fatal("flushed into a closed database")
			}
		}
		tally.Add(SuspiciousActivity, "forged", from("192.0.2.2"))
		tally.db = back
		tally.flush(t)
		want := map[string]int64{
			"suspicious_activity forged 192.0.2.1": 3, "suspicious_activity forged 2001:db8::1": 3, "suspicious_activity forged 192.0.2.2": 1,
		}
		if counts, events := written(t, back); !cmp.Equal(counts, want) || events != 3 {
			t.Errorf("%d events: %v", events, counts)
		}
	})
}

// However long the database is away, and whatever comes while a flush is under
// way, memory stays bounded and the counts are right.
func TestTallyStaysBoundedWhenItGivesBack(t *testing.T) {
	d := dbtest.Open(t, dbtest.SQLite(t))
	tally := newTally(d)
	for round := range 4 {
		taken := tally.counts
		tally.counts = map[tallyKey]*tallied{}
		for i := range tallyMax {
			tally.Add(SuspiciousActivity, "forged", network(round*tallyMax+i))
		}
		tally.giveBack(taken)
		if n := len(tally.counts); n > tallyMax+1 {
			t.Fatalf("after %d failures %d are counted apart", round, n)
		}
	}
	tally.flush(t)
	counts, _ := written(t, d)
	if total := sum(counts); total != 4*tallyMax || counts["suspicious_activity forged "] != 3*tallyMax {
		t.Errorf("%d in all, %d of them under no address", total, counts["suspicious_activity forged "])
	}
}

func TestTallyUnderSixteenAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		tally := newTally(d)
		const each = 2000
		var adders, flushers sync.WaitGroup
		stop := make(chan struct{})
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		for range 2 {
			flushers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						_ = tally.Flush(canceled) // fails, and gives back
						_ = tally.Flush(ctx)
					}
				}
			})
		}
		for w := range 16 {
			adders.Go(func() {
				for i := range each {
					tally.Add(SuspiciousActivity, "forged", network((w*i)%40))
				}
			})
		}
		adders.Wait()
		close(stop)
		flushers.Wait()
		tally.flush(t)
		if counts, _ := written(t, d); sum(counts) != 16*each {
			t.Errorf("%d of %d were written", sum(counts), 16*each)
		}
	})
}

func TestRunFlushesWhenItIsToldToStop(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		d := dbtest.Open(t, dbURL)
		for _, away := range []bool{false, true} {
			tally := newTally(d)
			if away {
				tally.db = closed(t, dbURL)
			}
			tally.Add(SuspiciousActivity, "forged", from("192.0.2.1"))
			running, stop := context.WithCancel(ctx)
			var complaints []error
			done := make(chan struct{})
			go func() {
				defer close(done)
				tally.Run(running, func(err error) { complaints = append(complaints, err) })
			}()
			stop()
			<-done
			if (len(complaints) > 0) != away {
				t.Errorf("database away: %v, complaints %v", away, complaints)
			}
		}
		counts, _ := written(t, d)
		if sum(counts) != 1 {
			t.Errorf("written: %v", counts)
		}
	})
}

func FuzzNetwork(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "fe80::1%eth0", "::", "0.0.0.0", "::1", "::ffff:0:0%x", "", "x",
		"255.255.255.255"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := netip.ParseAddr(s)
		n := Network(a)
		if err != nil {
			if n != (netip.Prefix{}) {
				t.Fatalf("%q is no address, and counted under %v", s, n)
			}
			return
		}
		bare := a.Unmap().WithZone("")
		bits := 32
		if bare.Is6() {
			bits = 64
		}
		if n.Bits() != bits || !n.Contains(bare) || n != n.Masked() || n.Addr().Zone() != "" || n.Addr().Is4In6() {
			t.Fatalf("%s is counted under %v", s, n)
		}
		// The same for its other spelling, and for its neighbour in the /64 only.
		if Network(netip.AddrFrom16(a.As16())) != n {
			t.Fatalf("%s, written as an IPv6 address, is counted under another network than %v", s, n)
		}
		if next := bare.Next(); next.IsValid() && (Network(next) == n) != n.Contains(next) {
			t.Fatalf("%s and its neighbour: %v and %v", s, n, Network(next))
		}
	})
}

func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
		"::ffff:192.0.2.1%z": "192.0.2.1/32", "::1": "::/64", "0.0.0.0": "0.0.0.0/32",
	} {
		if got := Network(netip.MustParseAddr(in)).String(); got != want {
			t.Errorf("%s is counted under %s, want %s", in, got, want)
		}
	}
	if got := Network(netip.Addr{}); got != (netip.Prefix{}) {
		t.Errorf("no address is counted under %v", got)
	}
}
