package signin_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// ASVS 6.3.5: an owner hears of a sign-in that followed wrong passwords from the same place,
// and of the first after a long time, also where the browser is known; and of no other.
func TestASVS_V6_3_5_UnusualSignInsAreMailed(t *testing.T) {
	dbtest.EachURL(t, func(t *testing.T, dbURL string) {
		var ahead time.Duration
		h := harness.OpenAt(t, dbURL, func() time.Time { return time.Now().Add(ahead) }, harness.BehindProxy, "LOCKOUT_AFTER=3", "LOCKOUT_DELAY_SECONDS=1")
		const ada, home = "ada@example.org", "192.0.2.1"
		box := h.Mailbox()
		h.Register(ada)
		b := h.Browser()
		signIn := func(pass string) int { return b.Send(harness.Through(home, harness.CookieSignIn(ada, pass))).Status }
		mails := func() (list []notice.Why) {
			for _, m := range box.All(ada) {
				if m.Kind == notice.NewSignIn {
					list = append(list, m.Why)
				}
			}
			return list
		}
		expect := func(what string, n int, why notice.Why) {
			t.Helper()
			if list := mails(); len(list) != n || n > 0 && list[n-1] != why {
				t.Fatalf("%s: mails %q, want %d, the last %q", what, list, n, why)
			}
		}
		wrong := func(n int) {
			t.Helper()
			for range n {
				if status := signIn("wrong horse battery staple"); status != 401 {
					t.Fatalf("a wrong password: %d", status)
				}
			}
		}
		right := func() {
			t.Helper()
			if status := signIn(harness.Passphrase); status != 200 {
				t.Fatalf("the right one: %d", status)
			}
		}
		right()
		expect("the first sign-in", 0, "")
		wrong(2)
		right()
		expect("after two wrong ones", 0, "")
		wrong(3)
		ahead += time.Minute
		right()
		expect("after three", 1, notice.AfterGuesses)
		right()
		expect("right again", 1, notice.AfterGuesses)
		ahead += 80 * 24 * time.Hour
		right()
		expect("after 80 days", 1, notice.AfterGuesses)
		ahead += 91 * 24 * time.Hour
		right()
		expect("after 91 days", 2, notice.AfterLong)
		right()
		expect("right after that", 2, notice.AfterLong)
	})
}
