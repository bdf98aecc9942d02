package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// behindProxy lets a test come from any network.
const behindProxy = "TRUSTED_PROXIES=127.0.0.1"

// wrong is a sign-in with a wrong password, from the i-th network of many.
func wrong(email string, i int) request {
	return request{
		method: "POST", path: "/v1/login", body: credentials{email, fmt.Sprintf("a guess with number %d", i)},
		header: http.Header{"X-Forwarded-For": {fmt.Sprintf("198.51.%d.%d", 100+i/200, i%200)}},
	}
}

// right is a sign-in with the right one.
func right(email string, i int) request {
	r := wrong(email, i)
	r.body = credentials{email, passphrase}
	return r
}

// lockedMails counts the mails about lockouts.
func (h *house) lockedMails() (n int) {
	h.Helper()
	if err := h.database().Read(h.Context(), func(tx *db.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM outbox WHERE kind = 'locked_out'`).Scan(&n)
	}); err != nil {
		h.Fatal(err)
	}
	return n
}

// logged counts the lines about an event with a reason.
func (h *house) logged(event, reason string) (n int) {
	for line := range strings.Lines(h.log.String()) {
		if strings.Contains(line, `"event":"`+event+`"`) && strings.Contains(line, `"reason":"`+reason+`"`) {
			n++
		}
	}
	return n
}

// eachReadable is each without the role that can't read the outbox.
func eachReadable(t *testing.T, test func(h *house), settings ...string) {
	t.Helper()
	for name, url := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(name, func(t *testing.T) { test(open(t, url(t), settings...)) })
	}
}

// PW-4: after five wrong passwords a network waits, whether or not there is an
// account; another network does not, and neither does another account. The
// address in other spellings is the same address.
func TestPW4_ANetworkWaits(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@bücher.example")
		for _, email := range []string{"ada@bücher.example", "nobody@bücher.example"} {
			spellings := []string{email, strings.ToUpper(email), strings.Replace(email, "bücher", "xn--bcher-kva", 1), strings.Replace(email, "bücher", "bu\u0308cher", 1), email}
			for _, s := range spellings {
				h.expect(401, "invalid_credentials", wrong(s, 1))
			}
			for _, s := range spellings {
				a := h.expect(429, "too_many_attempts", right(s, 1))
				if wait := a.header.Get("Retry-After"); wait != "30" && wait != "29" && wait != "28" && wait != "27" {
					h.Errorf("%s: wait %q s", s, wait)
				}
			}
			// A +tag may be somebody else's, and is another address here.
			h.expect(401, "invalid_credentials", wrong(strings.Replace(email, "@", "+tag@", 1), 1))
		}
		h.expect(200, "", right("ada@bücher.example", 2))
		if n := h.logged("account_lockout", "network_delayed"); n != 2 {
			h.Errorf("%d lockouts recorded, want one an address", n)
		}
		if got := h.counts(); got["sign_in too_many_attempts"] != "10" {
			h.Errorf("counted %v", got)
		}
	}, behindProxy)
}

// GHSA-7h8m-vrxx-vr4m (Zitadel): 64 guesses at once, of which five are looked at,
// and the right one among the rest gets nobody in.
func TestPW4_GuessesAtOnce(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		var (
			wg     sync.WaitGroup
			mu     sync.Mutex
			counts = map[string]int{}
		)
		for i := range 64 {
			wg.Go(func() {
				r := wrong("ada@example.org", 1)
				r.body = credentials{"ada@example.org", fmt.Sprintf("a guess with number %d", i)}
				a, err := h.try(r)
				mu.Lock()
				defer mu.Unlock()
				counts[fmt.Sprint(a.status, a.str("code"))]++
				if err != nil {
					h.Error(err)
				}
			})
		}
		wg.Wait()
		if counts["401invalid_credentials"] != 5 || counts["429too_many_attempts"]+counts["503busy"] != 59 {
			h.Errorf("the answers were %v", counts)
		}
		h.expect(429, "too_many_attempts", right("ada@example.org", 1))
	}, behindProxy)
}

// GHSA-cq42-vhv7-xr7p (Keycloak): a stranger who guesses from everywhere locks
// strangers out, not the owner's browser, nor the sessions that are alive. The
// owner is told once, and an operator can open again.
func TestPW4_TheOwnerIsNotLockedOut(t *testing.T) {
	eachReadable(t, func(h *house) {
		h.register("ada@example.org")
		b := h.browser()
		b.signIn("ada@example.org")
		alive := h.expect(200, "", right("ada@example.org", 0))
		for _, email := range []string{"ada@example.org", "nobody@example.org"} {
			for i := range 80 {
				h.expect(401, "invalid_credentials", wrong(email, i+1))
			}
			for i := range 5 {
				a := h.expect(429, "account_locked", right(email, 200+i))
				if a.header.Get("Retry-After") == "" {
					h.Error("no Retry-After")
				}
			}
		}
		if n := h.lockedMails(); n != 1 {
			h.Errorf("%d mails about the lockout", n)
		}
		if n := h.logged("account_lockout", "account_locked"); n != 2 {
			h.Errorf("%d lockouts recorded", n)
		}
		// The owner's browser, and the owner's sessions.
		b.signIn("ada@example.org")
		h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: alive.str("access_token")})
		h.expect(200, "", refreshing(alive.str("refresh_token")))
		// The cookie is good for its own address, and not without the password.
		for range 5 {
			if a := b.send(request{method: "POST", path: "/v1/login", body: cookieCredentials{credentials{"ada@example.org", "a wrong password"}, true}}); a.status != 401 {
				h.Errorf("the owner's mistake: %d %s", a.status, a.text)
			}
		}
		if a := b.send(request{method: "POST", path: "/v1/login", body: cookieCredentials{credentials{"ada@example.org", passphrase}, true}}); a.str("code") != "too_many_attempts" {
			h.Errorf("a known device waits as well: %d %s", a.status, a.text)
		}
		if err := h.operator().Unlock(h.Context(), "ada@example.org", originOfTests); err != nil {
			h.Fatal(err)
		}
		h.expect(200, "", right("ada@example.org", 300))
	}, behindProxy)
}

// unlockLink makes the token of a lockout mail's link, as the mail has it.
func (h *house) unlockLink(email string) (token string) {
	h.Helper()
	o := h.operator()
	store, err := o.Lockout(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	a, err := o.User(h.Context(), email)
	if err != nil {
		h.Fatal(err)
	}
	if err := o.DB.Write(h.Context(), func(tx *db.Tx) error { token = store.AddLink(tx, a.ID, email, time.Now()); return nil }); err != nil {
		h.Fatal(err)
	}
	return token
}

// PW-4: the lockout mail's link lets the owner's browser in, once, at the press
// of a button; the password is still needed, and strangers stay out.
func TestPW4_TheMailsLinkLetsTheOwnerIn(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		for i := range 80 {
			h.expect(401, "invalid_credentials", wrong("ada@example.org", i))
		}
		b := h.browser()
		signIn := func(password string) answer {
			return b.send(request{method: "POST", path: "/v1/login", body: cookieCredentials{credentials{"ada@example.org", password}, true}})
		}
		if a := signIn(passphrase); a.str("code") != "account_locked" {
			h.Fatalf("%d %s", a.status, a.text)
		}
		token := h.unlockLink("ada@example.org")
		press := func(token string) request {
			return request{method: "POST", path: "/unlock", body: "token=" + token, contentType: "application/x-www-form-urlencoded"}
		}
		// A scanner that opens the link changes nothing, nor does another site.
		if a := b.send(request{method: "GET", path: "/unlock"}); a.status != 200 || a.header.Get("Set-Cookie") != "" {
			h.Errorf("%d %s", a.status, a.text)
		}
		foreign := press(token)
		foreign.header = http.Header{"Sec-Fetch-Site": {"cross-site"}}
		if a := h.browser().send(foreign); a.status != 403 {
			h.Errorf("from another site: %d", a.status)
		}
		for _, bad := range []string{"", "x", token + "x", token[:len(token)-1]} {
			if a := h.browser().send(press(bad)); a.status != 400 || a.header.Get("Set-Cookie") != "" {
				h.Errorf("%q: %d", bad, a.status)
			}
		}
		var (
			wg  sync.WaitGroup
			won atomic.Int64
			mu  sync.Mutex
		)
		for range 16 {
			wg.Go(func() {
				a, err := h.try(press(token))
				if err != nil {
					h.Error(err)
				}
				if a.status != 303 {
					return
				}
				won.Add(1)
				mu.Lock()
				defer mu.Unlock()
				b.jar.SetCookies(b.origin(), (&http.Response{Header: a.header}).Cookies())
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			h.Fatalf("%d browsers were let in by one link", won.Load())
		}
		if a := signIn("a wrong password"); a.status != 401 {
			h.Errorf("with a wrong password: %d %s", a.status, a.text)
		}
		if a := signIn(passphrase); a.status != 200 {
			h.Errorf("with the right one: %d %s", a.status, a.text)
		}
		h.expect(429, "account_locked", right("ada@example.org", 300))
		if n := strings.Count(h.log.String(), `"event":"device_known"`); n != 1 {
			h.Errorf("%d events", n)
		}
		if strings.Contains(h.log.String(), token) {
			h.Error("the link's token stands in the log")
		}
	}, behindProxy)
}

// After signing out everywhere no browser is known any more.
func TestPW4_LogoutAllForgetsDevices(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		b := h.browser()
		b.signIn("ada@example.org")
		if err := h.operator().Unlock(h.Context(), "ada@example.org", originOfTests); err != nil {
			h.Fatal(err)
		}
		if a := b.send(request{method: "POST", path: "/v1/logout-all", header: b.csrf()}); a.status != 204 {
			h.Fatalf("%d %s", a.status, a.text)
		}
		for i := range 80 {
			h.expect(401, "invalid_credentials", wrong("ada@example.org", i))
		}
		if a := b.send(request{method: "POST", path: "/v1/login", body: cookieCredentials{credentials{"ada@example.org", passphrase}, true}}); a.str("code") != "account_locked" {
			h.Errorf("a forgotten device: %d %s", a.status, a.text)
		}
	}, behindProxy)
}

// A program that signs in many times at once with the right password is let in
// each time.
func TestPW4_TheRightPasswordManyTimesAtOnce(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		var wg sync.WaitGroup
		for range 24 {
			wg.Go(func() {
				if a, err := h.try(right("ada@example.org", 1)); err != nil || a.status != 200 {
					h.Errorf("%d %s %v", a.status, a.text, err)
				}
			})
		}
		wg.Wait()
		for range 4 {
			h.expect(401, "invalid_credentials", wrong("ada@example.org", 1))
		}
		h.expect(200, "", right("ada@example.org", 1))
	}, behindProxy)
}

// One password at many accounts from many networks is told, once.
func TestPW4_GuessingAcrossAccounts(t *testing.T) {
	h := open(t, dbtest.SQLite(t), behindProxy)
	for i := range 60 {
		h.expect(401, "invalid_credentials", wrong(fmt.Sprintf("person%d@example.org", i), i))
	}
	if err := h.stop(); err != nil { // which writes what was counted
		t.Fatal(err)
	}
	if n := h.logged("suspicious_activity", "guessing_across_accounts"); n != 1 {
		t.Errorf("told %d times", n)
	}
}
