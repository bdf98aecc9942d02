package timing_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// kindOfRequest is one of several that must not be distinguishable by the time that
// their answer takes.
type kindOfRequest struct {
	name string
	make func(i int) harness.Request
}

// times makes n requests of each kind, in turns that are mixed anew each time, by
// the given number of clients, and returns how long each took.
func times(h *harness.Server, n, clients int, kinds []kindOfRequest) [][]time.Duration {
	h.Helper()
	out := make([][]time.Duration, len(kinds))
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	turns := make(chan int)
	for range clients {
		wg.Go(func() {
			for i := range turns {
				for _, k := range rand.Perm(len(kinds)) {
					r := kinds[k].make(i)
					began := time.Now()
					_, err := h.Try(r)
					took := time.Since(began)
					mu.Lock()
					if err != nil {
						h.Error(err)
					}
					out[k] = append(out[k], took)
					mu.Unlock()
				}
			}
		})
	}
	for i := range n {
		turns <- i
	}
	close(turns)
	wg.Wait()
	return out
}

// apart is how far two samples are from being one, in standard deviations of the
// rank sum (Mann and Whitney): it asks for no shape, and no time stands in it.
func apart(a, b []time.Duration) float64 {
	type one struct {
		d     time.Duration
		first bool
	}
	var all []one
	for _, d := range a {
		all = append(all, one{d, true})
	}
	for _, d := range b {
		all = append(all, one{d, false})
	}
	slices.SortFunc(all, func(x, y one) int { return int(x.d - y.d) })
	sum := 0.0
	for i, o := range all {
		if o.first {
			sum += float64(i + 1)
		}
	}
	n, m := float64(len(a)), float64(len(b))
	return (sum - n*(n+m+1)/2) / math.Sqrt(n*m*(n+m+1)/12)
}

// noise is how far apart two samples of one distribution may be: one in 30,000
// pairs is further.
const noise = 4.2

// Issue 5: neither the answer nor its time reveals whether an address is known,
// unknown, locked or unverified. With GATEHOUSE_SOAK=1 there are 2,000 of each.
func TestRecovery_TimeTellsNothing(t *testing.T) {
	n := 40
	if os.Getenv("GATEHOUSE_SOAK") == "1" {
		n = 2000
	}
	const each = 60 // tries at one address: it takes 80
	clock := &harness.Clock{}
	h := harness.OpenAt(t, dbtest.SQLite(t), clock.Now, "EMAIL_VERIFICATION=required", harness.BehindProxy)
	o := h.Operator()
	name := func(kind string, i int) string { return fmt.Sprintf("%s%d@example.org", kind, i/each) }
	for i := 0; i < n; i += each {
		h.Register(name("known", i))
		h.Register(name("unverified", i))
		h.Register(name("passwordless", i))
		h.Register(name("factor", i))
		if err := o.Verify(h.Context(), name("factor", i), harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
		h.AppFor(clock, name("factor", i))
		if err := o.Verify(h.Context(), name("known", i), harness.OriginOfTests); err != nil {
			t.Fatal(err)
		}
	}
	// As of one that was registered with a passkey.
	err := h.Database().Write(h.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE account SET hash = '', verified_at = 1 WHERE email LIKE 'passwordless%'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Register("locked@example.org")
	for i := range 80 {
		h.Expect(401, "invalid_credentials", harness.WrongPassword("locked@example.org", i))
		h.Expect(401, "invalid_credentials", harness.WrongPassword("locked-nobody@example.org", i))
	}
	at := func(kind string) func(i int) harness.Request {
		return func(i int) harness.Request { return harness.WrongPassword(name(kind, i), i) }
	}
	compare := func(what string, clients int, kinds ...kindOfRequest) {
		t.Helper()
		took := times(h, n, clients, kinds)
		for i := range kinds {
			for j := range i {
				z := apart(took[i], took[j])
				t.Logf("%s: %s and %s are %.1f apart", what, kinds[j].name, kinds[i].name, z)
				if math.Abs(z) > noise {
					t.Errorf("%s: the time tells %s from %s (%.1f standard deviations)", what, kinds[j].name, kinds[i].name, z)
				}
			}
		}
	}
	compare("sign-in", 1, kindOfRequest{"known", at("known")}, kindOfRequest{"unknown", at("nobody")},
		kindOfRequest{"without a password", at("passwordless")}, kindOfRequest{"with a second factor", at("factor")},
		kindOfRequest{"unverified, right password", func(i int) harness.Request { return harness.RightPassword(name("unverified", i), i) }})
	compare("sign-in", 1, kindOfRequest{"locked", func(i int) harness.Request { return harness.WrongPassword("locked@example.org", 100+i) }},
		kindOfRequest{"locked, unknown", func(i int) harness.Request { return harness.WrongPassword("locked-nobody@example.org", 100+i) }})
	for _, path := range []string{"/v1/password/forgot", "/v1/email/resend"} {
		ask := func(kind string) kindOfRequest {
			return kindOfRequest{kind, func(i int) harness.Request { return harness.Post(path, harness.Body{"email": name(kind, i)}) }}
		}
		compare(path, 8, ask("known"), ask("nobody"), ask("unverified"),
			kindOfRequest{"locked", func(int) harness.Request { return harness.Post(path, harness.Body{"email": "locked@example.org"}) }})
	}
	compare("registration", 8, kindOfRequest{"taken", func(i int) harness.Request {
		return harness.Post("/v1/register", harness.Body{"email": name("known", i), "password": harness.Passphrase})
	}},
		kindOfRequest{"new", func(i int) harness.Request {
			return harness.Post("/v1/register", harness.Body{"email": fmt.Sprintf("new%d@example.org", i), "password": harness.Passphrase})
		}})
	// The measure sees what is there to be seen.
	took := times(h, n, 1, []kindOfRequest{{"hashed", at("other")}, {"refused", func(i int) harness.Request { return harness.WrongPassword("no address", i) }}})
	if z := apart(took[0], took[1]); z < noise {
		t.Errorf("a request that is refused at once is only %.1f from one that is not: this test would see nothing", z)
	}
}
