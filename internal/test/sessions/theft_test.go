package sessions_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// TestJWT3_NothingInAStolenDatabaseOpensAnything tries every value of every
// table, in every way that it could be written, as a password, a refresh token
// and an access token.
func TestJWT3_NothingInAStolenDatabaseOpensAnything(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		h.Register("ada@example.org") // for the mail that notifies its owner
		first := h.Login("ada@example.org")
		second := h.Refresh(first.Str("refresh_token"))
		values := h.EveryValue()
		if len(values) < 40 {
			h.Fatalf("only %d values in the database: is this the right one?", len(values))
		}
		for _, token := range []string{first.Str("refresh_token"), second.Str("refresh_token"), second.Str("access_token")} {
			body := strings.TrimPrefix(token, "gatehouse_rt_")
			raw, err := base64.RawURLEncoding.DecodeString(strings.Split(body, ".")[0])
			if err != nil {
				h.Fatal(err)
			}
			for v := range values {
				if strings.Contains(v, body) || len(raw) > 90 && strings.Contains(v, string(raw[24:56])) {
					h.Errorf("a token, or the secret in one, stands in the database")
				}
			}
		}
		template, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(second.Str("refresh_token"), "gatehouse_rt_"))
		if err != nil {
			h.Fatal(err)
		}
		var wg sync.WaitGroup
		guesses := make(chan harness.Request)
		for range 8 {
			wg.Go(func() {
				for r := range guesses {
					a, err := h.Try(r)
					if err != nil {
						h.Error(err)
					}
					if a.Status < 400 || a.Status >= 500 {
						h.Errorf("%s with a value from the database: %d %s", r.Path, a.Status, a.Text)
					}
				}
			})
		}
		for v := range values {
			for _, form := range []string{v, hex.EncodeToString([]byte(v)), base64.RawURLEncoding.EncodeToString([]byte(v)),
				base64.StdEncoding.EncodeToString([]byte(v))} {
				if len(form) > 4000 || strings.ContainsAny(form, "\x00\n\r") || strings.ToValidUTF8(form, "") != form {
					continue
				}
				guesses <- harness.SignInAs("ada@example.org", form)
				guesses <- harness.Refreshing(form)
				guesses <- harness.Refreshing("gatehouse_rt_" + form)
				if !strings.Contains(form, " ") {
					guesses <- harness.Get("/v1/me", strings.Map(harness.HeaderSafe, form))
				}
			}
			// A hash or a salt in the place of the secret of a real token, whose
			// session, epoch and generation a thief can read.
			if len(v) == 32 || len(v) == 16 {
				forged := append([]byte{}, template...)
				copy(forged[24:56], v)
				guesses <- harness.Refreshing("gatehouse_rt_" + base64.RawURLEncoding.EncodeToString(forged))
			}
		}
		close(guesses)
		wg.Wait()
		// The owner has noticed nothing.
		h.Expect(200, "", harness.Get("/v1/me", second.Str("access_token")))
		h.Expect(200, "", harness.Refreshing(second.Str("refresh_token")))
	})
}

func TestJWT5_AnEndedSessionIsRefusedAtOnce(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		other := h.Login("ada@example.org")
		me := h.Login("ada@example.org")
		for name, end := range map[string]struct {
			harness.Request
			alive bool // whether the caller's own session outlives it
		}{
			"logout":   {harness.Request{Method: "POST", Path: "/v1/logout", Bearer: other.Str("access_token")}, true},
			"sessions": {harness.Request{Method: "DELETE", Path: "/v1/sessions/" + me.Str("session_id"), Bearer: me.Str("access_token")}, false},
		} {
			h.Expect(204, "", end.Request)
			ended := other
			if !end.alive {
				ended = me
			}
			h.Expect(401, "invalid_token", harness.Get("/v1/me", ended.Str("access_token")))
			if a := h.Refresh(ended.Str("refresh_token")); a.Status != 401 {
				h.Errorf("%s: the refresh token of an ended session: %d", name, a.Status)
			}
		}
	})
}

// TestJWT5_WhoIsToldThatASessionIsOverFindsItsTokensDead ends sessions past this
// replica, as another does that has yet to tell: whoever hears here that one has
// ended, by a logout or by a refresh, does not find it alive afterwards.
func TestJWT5_WhoIsToldThatASessionIsOverFindsItsTokensDead(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		for name, hear := range map[string]func(s harness.Answer){
			"logout by access token": func(s harness.Answer) {
				h.Expect(204, "", harness.Request{Method: "POST", Path: "/v1/logout", Bearer: s.Str("access_token")})
			},
			"logout by refresh token": func(s harness.Answer) {
				h.Expect(204, "", harness.Post("/v1/logout", map[string]string{"refresh_token": s.Str("refresh_token")}))
			},
			"refresh": func(s harness.Answer) {
				if a := h.Refresh(s.Str("refresh_token")); a.Status != 401 {
					h.Errorf("the refresh token of an ended session: %d", a.Status)
				}
			},
		} {
			s := h.Login("ada@example.org")
			h.Expect(200, "", harness.Get("/v1/me", s.Str("access_token")))
			if err := dbtest.Open(h.T, h.DBURL).Write(context.Background(), func(tx *db.Tx) error {
				_, err := session.End(tx, s.Str("session_id"), "", session.WhyRevoked, time.Now())
				return err
			}); err != nil {
				h.Fatal(err)
			}
			h.Expect(200, "", harness.Get("/v1/me", s.Str("access_token"))) // it has not heard
			hear(s)
			if a, err := h.Try(harness.Get("/v1/me", s.Str("access_token"))); err != nil || a.Status != 401 {
				h.Errorf("%s: afterwards the access token is answered %d (%v)", name, a.Status, err)
			}
		}
	})
}

func TestASessionTooManyEndsTheOldest(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		first, second := h.Login("ada@example.org"), h.Login("ada@example.org")
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				if a, err := h.Try(harness.SignInAs("ada@example.org", harness.Passphrase)); err != nil || a.Status != 200 {
					h.Errorf("%d %v", a.Status, err)
				}
			})
		}
		wg.Wait()
		h.Expect(401, "invalid_token", harness.Get("/v1/me", first.Str("access_token")))
		h.Expect(401, "invalid_token", harness.Get("/v1/me", second.Str("access_token")))
		last := h.Login("ada@example.org")
		list := h.Expect(200, "", harness.Get("/v1/sessions", last.Str("access_token")))
		if n := len(list.Fields["sessions"].([]any)); n != 3 {
			h.Errorf("the account has %d sessions, and may have 3", n)
		}
	}, "SESSIONS_PER_ACCOUNT=3")
}

func TestAnotherAccountsSessionCannotBeEndedOrSeen(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		h.Register("eve@example.org")
		ada, eve := h.Login("ada@example.org"), h.Login("eve@example.org")
		h.Expect(404, "session_not_found", harness.Request{Method: "DELETE", Path: "/v1/sessions/" + ada.Str("session_id"), Bearer: eve.Str("access_token")})
		list := h.Do(harness.Get("/v1/sessions", eve.Str("access_token")))
		events := h.Do(harness.Get("/v1/me/events", eve.Str("access_token")))
		if strings.Contains(list.Text+events.Text, ada.Str("session_id")) {
			h.Error("eve sees ada's session")
		}
		h.Expect(200, "", harness.Get("/v1/me", ada.Str("access_token")))
	})
}

// TestUnknownAndWrongAreOneAnswer compares everything that the client gets.
func TestUnknownAndWrongAreOneAnswer(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		same := func(a, b harness.Answer) {
			h.Helper()
			strip := func(a harness.Answer) string {
				a.Header.Del("Date")
				a.Header.Del("X-Request-Id")
				// Both get a cookie, for an account that may not be there.
				for i, c := range a.Header["Set-Cookie"] {
					name, rest, _ := strings.Cut(c, "=")
					value, attributes, _ := strings.Cut(rest, ";")
					a.Header["Set-Cookie"][i] = fmt.Sprint(name, len(value), attributes)
				}
				return fmt.Sprint(a.Status, a.Header, strings.NewReplacer(a.Str("request_id"), "", a.Str("request"), "").Replace(a.Text))
			}
			if strip(a) != strip(b) {
				h.Errorf("the answers differ:\n%s\n%s", strip(a), strip(b))
			}
		}
		login := func(email string) harness.Answer {
			return h.Do(harness.SignInAs(email, "a wrong password, long"))
		}
		same(login("ada@example.org"), login("nobody@example.org"))
		register := func(email string) harness.Answer {
			return h.Do(harness.Post("/v1/register", harness.Credentials{Email: email, Password: harness.Passphrase}))
		}
		same(register("ada@example.org"), register("new@example.org"))
		// Registering over an account must not have changed its password.
		h.Do(harness.Post("/v1/register", harness.Credentials{Email: "ada@example.org", Password: "another long passphrase"}))
		h.Login("ada@example.org")
	})
}

// TestRegisteringTellsNothingToWhoeverSignsInNext registers an address that may
// have an account with a password of the stranger's own, and signs in with it.
func TestRegisteringTellsNothingToWhoeverSignsInNext(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		o := h.Operator()
		if _, err := o.CreateUser(h.Context(), flow.Credentials{Email: "ada@example.org", Password: harness.Passphrase}, nil, harness.OriginOfTests); err != nil {
			h.Fatal(err)
		}
		var answers []string
		for _, email := range []string{"ada@example.org", "nobody@example.org"} {
			strangers := harness.Credentials{Email: email, Password: "a stranger's own password"}
			h.Expect(202, "", harness.Post("/v1/register", strangers))
			a := h.Expect(401, "invalid_credentials", harness.Post("/v1/login", strangers))
			answers = append(answers, strings.ReplaceAll(a.Text, a.Str("request_id"), ""))
		}
		if answers[0] != answers[1] {
			h.Errorf("the answers differ:\n%s\n%s", answers[0], answers[1])
		}
		if _, err := o.User(h.Context(), "nobody@example.org"); err != nil {
			h.Error(err)
		}
		if err := o.Verify(h.Context(), "nobody@example.org", harness.OriginOfTests); err != nil {
			h.Error(err)
		}
		h.Expect(200, "", harness.SignInAs("nobody@example.org", "a stranger's own password"))
	}, "EMAIL_VERIFICATION=required")
}

// TestPW2_SignInsThatUpgradeOneHashAtOnceAllSucceed raises the cost and lets
// sixteen sign in to one account.
func TestPW2_SignInsThatUpgradeOneHashAtOnceAllSucceed(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		dearer := harness.Open(h.T, h.DBURL, "BCRYPT_COST=6")
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				a, err := dearer.Try(harness.SignInAs("ada@example.org", harness.Passphrase))
				if err != nil || a.Status != 200 {
					h.Errorf("%d %s %v", a.Status, a.Text, err)
				}
			})
		}
		wg.Wait()
		cheap := 0
		for v := range dearer.EveryValue() {
			if strings.HasPrefix(v, "h1:$2a$04$") {
				cheap++
			}
		}
		if cheap != 0 {
			h.Error("the hash was not upgraded")
		}
	})
}

func TestSixteenRegistrationsOfOneAddressMakeOneAccount(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				a, err := h.Try(harness.Post("/v1/register", harness.Credentials{Email: "ada@example.org", Password: harness.Passphrase}))
				if err != nil || a.Status != 202 {
					h.Errorf("%d, %v", a.Status, err)
				}
			})
		}
		wg.Wait()
		made := 0
		for _, e := range harness.NewLedger(h).Next() {
			if e == "account_registered success" {
				made++
			}
		}
		if made != 1 {
			h.Errorf("%d accounts were made", made)
		}
		h.Login("ada@example.org")
	})
}

// TestPasswordsSurviveWhole signs in with passwords that bcrypt alone would cut
// or refuse, and makes sure that nothing near them works (ASVS 6.2.8).
func TestPasswordsSurviveWhole(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		long := strings.Repeat("ä", 255)
		for i, p := range []struct{ good, near string }{
			{strings.Repeat("a", 80) + "b", strings.Repeat("a", 80) + "c"},
			{long + "x", long + "y"},
			{"  spaces around it  ", "spaces around it"},
			{"CaSe MaTtErS a LoT", "case matters a lot"},
			{"cafe\u0301 au lait chaud", "cafe au lait chaud"},
			{"日本語のパスワードは長いです。はい", "日本語のパスワードは長いです。いえ"},
		} {
			email := fmt.Sprintf("user%d@example.org", i)
			h.Expect(202, "", harness.Post("/v1/register", harness.Credentials{Email: email, Password: p.good}))
			h.Expect(200, "", harness.SignInAs(email, p.good))
			h.Expect(401, "invalid_credentials", harness.SignInAs(email, p.near))
		}
		h.Expect(200, "", harness.SignInAs("user4@example.org", "caf\u00e9 au lait chaud"))
	})
}

// TestTooMuchHashingIsShed floods the pool: some are served, the rest learn when to
// come back, and nobody gets anything else. On a machine that is busy with more than this
// test, the time of a request may be over before its turn comes.
func TestTooMuchHashingIsShed(t *testing.T) {
	var alone sync.Mutex // the flood takes the whole machine
	harness.Each(t, func(h *harness.Server) {
		alone.Lock()
		defer alone.Unlock()
		h.Register("ada@example.org")
		var (
			wg     sync.WaitGroup
			mu     sync.Mutex
			counts = map[string]int{} // by code, "" for those that were served
		)
		for range 48 {
			wg.Go(func() {
				a, err := h.Try(harness.SignInAs("ada@example.org", harness.Passphrase))
				mu.Lock()
				defer mu.Unlock()
				counts[a.Str("code")]++
				if err != nil || a.Status != 200 && (a.Status != 503 || a.Header.Get("Retry-After") == "") {
					h.Errorf("one of 48 sign-ins at once: answered %d, Retry-After %q, want 200, or 503 with it: %s %v",
						a.Status, a.Header.Get("Retry-After"), a.Text, err)
				}
			})
		}
		wg.Wait()
		if counts[""] == 0 || counts["busy"] == 0 {
			h.Errorf("48 sign-ins at once: answered %v, want some served and some busy", counts)
		}
		if got := h.Counts()["sign_in busy"]; got != fmt.Sprint(counts["busy"]) {
			h.Errorf("%s sign-ins were counted as busy, and %d were", got, counts["busy"])
		}
	}, "BCRYPT_COST=12")
}

// TestStoppingFinishesWhatWasAccepted stops the server while a slow sign-in is
// under way.
func TestStoppingFinishesWhatWasAccepted(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("ada@example.org")
		done := make(chan harness.Answer)
		go func() {
			a, err := h.Try(harness.SignInAs("ada@example.org", harness.Passphrase))
			if err != nil {
				h.Error(err)
			}
			done <- a
		}()
		for !strings.Contains(h.Metrics(), "gatehouse_hashing_busy 1") {
			time.Sleep(time.Millisecond)
		}
		if err := h.Stop(); err != nil {
			h.Error(err)
		}
		if a := <-done; a.Status != 200 {
			h.Errorf("the sign-in under way: %d %s", a.Status, a.Text)
		}
	}, "BCRYPT_COST=12")
}
