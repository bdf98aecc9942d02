package lockout_test

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
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// PW-4: after five wrong passwords a network waits, whether or not there is an
// account; another network does not, and neither does another account. The
// address in other spellings is the same address.
func TestPW4_ANetworkWaits(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@bücher.example")
		for _, email := range []string{"ada@bücher.example", "nobody@bücher.example"} {
			spellings := []string{email, strings.ToUpper(email), strings.Replace(email, "bücher", "xn--bcher-kva", 1),
				strings.Replace(email, "bücher", "bu\u0308cher", 1), email}
			for _, s := range spellings {
				h.Expect(401, "invalid_credentials", harness.WrongPassword(s, 1))
			}
			for _, s := range spellings {
				a := h.Expect(429, "too_many_attempts", harness.RightPassword(s, 1))
				if wait := a.Header.Get("Retry-After"); wait != "30" && wait != "29" && wait != "28" && wait != "27" {
					h.Errorf("%s: wait %q s", s, wait)
				}
			}
			// A +tag may be somebody else's, and is another address here.
			h.Expect(401, "invalid_credentials", harness.WrongPassword(strings.Replace(email, "@", "+tag@", 1), 1))
		}
		h.Expect(200, "", harness.RightPassword("ada@bücher.example", 2))
		if n := h.Logged("account_lockout", "network_delayed"); n != 2 {
			h.Errorf("%d lockouts recorded, want one an address", n)
		}
		if got := h.Counts(); got["sign_in too_many_attempts"] != "10" {
			h.Errorf("counted %v", got)
		}
	}, harness.BehindProxy)
}

// GHSA-7h8m-vrxx-vr4m (Zitadel): 64 guesses at once, of which five are looked at,
// and the right one among the rest gets nobody in.
func TestPW4_GuessesAtOnce(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		var (
			wg     sync.WaitGroup
			mu     sync.Mutex
			counts = map[string]int{}
		)
		for i := range 64 {
			wg.Go(func() {
				r := harness.WrongPassword("ada@example.org", 1)
				r.Body = harness.Credentials{Email: "ada@example.org", Password: fmt.Sprintf("a guess with number %d", i)}
				a, err := h.Try(r)
				mu.Lock()
				defer mu.Unlock()
				counts[fmt.Sprint(a.Status, a.Str("code"))]++
				if err != nil {
					h.Error(err)
				}
			})
		}
		wg.Wait()
		if counts["401invalid_credentials"] != 5 || counts["429too_many_attempts"]+counts["503busy"] != 59 {
			h.Errorf("the answers were %v", counts)
		}
		h.Expect(429, "too_many_attempts", harness.RightPassword("ada@example.org", 1))
	}, harness.BehindProxy)
}

// GHSA-cq42-vhv7-xr7p (Keycloak): a stranger who guesses from everywhere locks
// strangers out, not the owner's browser, nor the sessions that are alive. The
// owner is notified once, and an operator can unlock it.
func TestPW4_TheOwnerIsNotLockedOut(t *testing.T) {
	harness.EachReadable(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		b := h.Browser()
		b.SignIn("ada@example.org")
		alive := h.Expect(200, "", harness.RightPassword("ada@example.org", 0))
		for _, email := range []string{"ada@example.org", "nobody@example.org"} {
			for i := range 80 {
				h.Expect(401, "invalid_credentials", harness.WrongPassword(email, i+1))
			}
			for i := range 5 {
				a := h.Expect(429, "account_locked", harness.RightPassword(email, 200+i))
				if a.Header.Get("Retry-After") == "" {
					h.Error("no Retry-After")
				}
			}
		}
		if n := harness.LockedMails(h); n != 1 {
			h.Errorf("%d mails about the lockout", n)
		}
		if n := h.Logged("account_lockout", "account_locked"); n != 2 {
			h.Errorf("%d lockouts recorded", n)
		}
		// The owner's browser, and the owner's sessions.
		b.SignIn("ada@example.org")
		h.Expect(200, "", harness.Get("/v1/me", alive.Str("access_token")))
		h.Expect(200, "", harness.Refreshing(alive.Str("refresh_token")))
		// The cookie is good for its own address, and not without the password.
		for range 5 {
			if a := b.Send(harness.CookieSignIn("ada@example.org", "a wrong password")); a.Status != 401 {
				h.Errorf("the owner's mistake: %d %s", a.Status, a.Text)
			}
		}
		if a := b.Send(harness.CookieSignIn("ada@example.org", harness.Passphrase)); a.Str("code") != "too_many_attempts" {
			h.Errorf("a known device waits as well: %d %s", a.Status, a.Text)
		}
		if err := h.Operator().Unlock(h.Context(), "ada@example.org", harness.OriginOfTests); err != nil {
			h.Fatal(err)
		}
		h.Expect(200, "", harness.RightPassword("ada@example.org", 300))
	}, harness.BehindProxy)
}

// unlockLink makes the token of a lockout mail's link, as the mail has it.
func unlockLink(h *harness.Server, email string) (token string) {
	h.Helper()
	o := h.Operator()
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
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		for i := range 80 {
			h.Expect(401, "invalid_credentials", harness.WrongPassword("ada@example.org", i))
		}
		b := h.Browser()
		signIn := func(password string) harness.Answer {
			return b.Send(harness.CookieSignIn("ada@example.org", password))
		}
		if a := signIn(harness.Passphrase); a.Str("code") != "account_locked" {
			h.Fatalf("%d %s", a.Status, a.Text)
		}
		token := unlockLink(h, "ada@example.org")
		press := func(token string) harness.Request {
			return harness.Request{Method: "POST", Path: "/unlock", Body: "token=" + token, ContentType: "application/x-www-form-urlencoded"}
		}
		// A scanner that opens the link changes nothing, nor does another site.
		if a := b.Send(harness.Get("/unlock")); a.Status != 200 || a.Header.Get("Set-Cookie") != "" {
			h.Errorf("%d %s", a.Status, a.Text)
		}
		foreign := press(token)
		foreign.Header = http.Header{"Sec-Fetch-Site": {"cross-site"}}
		if a := h.Browser().Send(foreign); a.Status != 403 {
			h.Errorf("from another site: %d", a.Status)
		}
		for _, bad := range []string{"", "x", token + "x", token[:len(token)-1]} {
			if a := h.Browser().Send(press(bad)); a.Status != 400 || a.Header.Get("Set-Cookie") != "" {
				h.Errorf("%q: %d", bad, a.Status)
			}
		}
		var (
			wg  sync.WaitGroup
			won atomic.Int64
			mu  sync.Mutex
		)
		for range 16 {
			wg.Go(func() {
				a, err := h.Try(press(token))
				if err != nil {
					h.Error(err)
				}
				if a.Status != 303 {
					return
				}
				won.Add(1)
				mu.Lock()
				defer mu.Unlock()
				b.Jar.SetCookies(b.Origin(), (&http.Response{Header: a.Header}).Cookies())
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			h.Fatalf("%d browsers were let in by one link", won.Load())
		}
		if a := signIn("a wrong password"); a.Status != 401 {
			h.Errorf("with a wrong password: %d %s", a.Status, a.Text)
		}
		if a := signIn(harness.Passphrase); a.Status != 200 {
			h.Errorf("with the right one: %d %s", a.Status, a.Text)
		}
		h.Expect(429, "account_locked", harness.RightPassword("ada@example.org", 300))
		if n := strings.Count(h.Logs.String(), `"event":"device_known"`); n != 1 {
			h.Errorf("%d events", n)
		}
		if strings.Contains(h.Logs.String(), token) {
			h.Error("the link's token stands in the log")
		}
	}, harness.BehindProxy)
}

// After signing out everywhere no browser is known any more.
func TestPW4_LogoutAllForgetsDevices(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		b := h.Browser()
		b.SignIn("ada@example.org")
		if err := h.Operator().Unlock(h.Context(), "ada@example.org", harness.OriginOfTests); err != nil {
			h.Fatal(err)
		}
		if a := b.Send(harness.Request{Method: "POST", Path: "/v1/logout-all", Header: b.Csrf()}); a.Status != 204 {
			h.Fatalf("%d %s", a.Status, a.Text)
		}
		for i := range 80 {
			h.Expect(401, "invalid_credentials", harness.WrongPassword("ada@example.org", i))
		}
		if a := b.Send(harness.CookieSignIn("ada@example.org", harness.Passphrase)); a.Str("code") != "account_locked" {
			h.Errorf("a forgotten device: %d %s", a.Status, a.Text)
		}
	}, harness.BehindProxy)
}

// A program that signs in many times at once with the right password is let in
// each time.
func TestPW4_TheRightPasswordManyTimesAtOnce(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		var wg sync.WaitGroup
		for range 24 {
			wg.Go(func() {
				if a, err := h.Try(harness.RightPassword("ada@example.org", 1)); err != nil || a.Status != 200 {
					h.Errorf("%d %s %v", a.Status, a.Text, err)
				}
			})
		}
		wg.Wait()
		for range 4 {
			h.Expect(401, "invalid_credentials", harness.WrongPassword("ada@example.org", 1))
		}
		h.Expect(200, "", harness.RightPassword("ada@example.org", 1))
	}, harness.BehindProxy)
}

// One password at many accounts from many networks is reported, once.
func TestPW4_GuessingAcrossAccounts(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), harness.BehindProxy)
	for i := range 60 {
		h.Expect(401, "invalid_credentials", harness.WrongPassword(fmt.Sprintf("person%d@example.org", i), i))
	}
	if err := h.Stop(); err != nil { // which writes what was counted
		t.Fatal(err)
	}
	if n := h.Logged("suspicious_activity", "guessing_across_accounts"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}
