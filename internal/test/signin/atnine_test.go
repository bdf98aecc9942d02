package signin_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// from sends a request from an address, and comes back when Retry-After says so, as a
// polite client does, until it is answered 200. It returns how often it was sent away.
func from(h *harness.Server, address string, r harness.Request) (sentAway int) {
	h.Helper()
	r.Header = http.Header{"X-Forwarded-For": {address}}
	for {
		a, err := h.Try(r)
		if err != nil {
			h.Error(err)
			return sentAway
		}
		if a.Status == 200 {
			return sentAway
		}
		wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
		if a.Status != 503 && a.Status != 429 || err != nil || wait < 1 || wait > 60 {
			h.Errorf("%v: %d %s, Retry-After %q", r, a.Status, a.Str("code"), a.Header.Get("Retry-After"))
			return sentAway
		}
		if sentAway++; sentAway > 20 {
			h.Errorf("%v: sent away %d times", r, sentAway)
			return sentAway
		}
		time.Sleep(time.Duration(wait) * time.Second)
	}
}

// N13: fifty people of one office sign in at the same moment, with the hashing of
// production and the default limits. Every one gets in: at once, or after as long as the answer
// said, and nobody is taken for a guesser.
func TestCaseN13_FiftyPeopleSignInAtNine(t *testing.T) {
	const people = 50
	h := harness.Open(t, dbtest.SQLite(t), harness.BehindProxy, "BCRYPT_COST=12", "LOGIN_RATE_LIMIT_ATTEMPTS=5")
	email := func(i int) string { return fmt.Sprintf("person%d@example.org", i) }
	places := make(chan struct{}, 4)
	var wg sync.WaitGroup
	for i := range people {
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			for {
				a, err := h.Try(harness.StrangersNetwork(i, harness.Post("/v1/register", harness.Credentials{Email: email(i), Password: harness.Passphrase})))
				if err != nil || a.Status != 503 {
					if err != nil || a.Status != 202 {
						h.Errorf("registering: %d %v", a.Status, err)
					}
					return
				}
			}
		})
	}
	wg.Wait()

	var away atomic.Int64
	for i := range people {
		wg.Go(func() { away.Add(int64(from(h, "192.0.2.9", harness.SignInAs(email(i), harness.Passphrase)))) })
	}
	wg.Wait()
	if n := h.Count(`SELECT COUNT(*) FROM session`); n != people {
		t.Errorf("%d of %d are in", n, people)
	}
	for _, kind := range []string{"failed_login_attempt", "account_lockout", "rate_limit_exceeded"} {
		if n := h.Count(`SELECT COUNT(*) FROM event WHERE kind = '` + kind + `'`); n != 0 {
			t.Errorf("%d events of %s take them for guessers:", n, kind)
			for line := range strings.Lines(h.Logs.String()) {
				if strings.Contains(line, kind) {
					t.Log(line)
				}
			}
		}
	}
	t.Logf("%d times somebody was told to come back", away.Load())
}

// N13: one network's many sign-ins do not hold up another's: whoever comes from
// elsewhere, when thirty wait already, is in before most of them.
func TestCaseN13_OneNetworkDoesNotHoldUpAnother(t *testing.T) {
	const crowd, others = 30, 3
	h := harness.Open(t, dbtest.SQLite(t), harness.BehindProxy, "BCRYPT_COST=11")
	h.Register("ada@example.org")
	h.Register("eve@example.org")
	var (
		mu    sync.Mutex
		order []string
		wg    sync.WaitGroup
		begun sync.WaitGroup
	)
	signIn := func(who, address string, r harness.Request) {
		from(h, address, r)
		mu.Lock()
		defer mu.Unlock()
		order = append(order, who)
	}
	begun.Add(crowd)
	for i := range crowd {
		// From many networks of one IPv6 site: that gives nobody more turns.
		wg.Go(func() {
			begun.Done()
			signIn("crowd", fmt.Sprintf("2001:db8:1:%x::1", i), harness.SignInAs("ada@example.org", harness.Passphrase))
		})
	}
	begun.Wait()
	for mu.Lock(); len(order) == 0; mu.Lock() { // until the first of them is through
		mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
	mu.Unlock()
	for i := range others {
		wg.Go(func() {
			signIn("another", fmt.Sprintf("198.51.100.%d", i), harness.SignInAs("eve@example.org", harness.Passphrase))
		})
	}
	wg.Wait()
	last := len(order) - 1 - slices.Index(reversed(order), "another")
	if behind := last + 1 - others; behind > crowd/2 {
		t.Errorf("the last of %d from elsewhere was in after %d of %d who came before: %v", others, behind, crowd, order)
	}
}

func reversed(list []string) []string {
	out := slices.Clone(list)
	slices.Reverse(out)
	return out
}
