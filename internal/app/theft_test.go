package app_test

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
)

// TestJWT3_NothingInAStolenDatabaseOpensAnything tries every value of every
// table, in every way that it could be written, as a password, a refresh token
// and an access token.
func TestJWT3_NothingInAStolenDatabaseOpensAnything(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		h.register("ada@example.org") // for the mail that tells its owner
		first := h.login("ada@example.org")
		second := h.refresh(first.str("refresh_token"))
		values := h.everyValue()
		if len(values) < 40 {
			h.Fatalf("only %d values in the database: is this the right one?", len(values))
		}
		for _, token := range []string{first.str("refresh_token"), second.str("refresh_token"), second.str("access_token")} {
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
		template, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(second.str("refresh_token"), "gatehouse_rt_"))
		if err != nil {
			h.Fatal(err)
		}
		var wg sync.WaitGroup
		guesses := make(chan request)
		for range 8 {
			wg.Go(func() {
				for r := range guesses {
					a, err := h.try(r)
					if err != nil {
						h.Error(err)
					}
					if a.status < 400 || a.status >= 500 {
						h.Errorf("%s with a value from the database: %d %s", r.path, a.status, a.text)
					}
				}
			})
		}
		for v := range values {
			for _, form := range []string{v, hex.EncodeToString([]byte(v)), base64.RawURLEncoding.EncodeToString([]byte(v)), base64.StdEncoding.EncodeToString([]byte(v))} {
				if len(form) > 4000 || strings.ContainsAny(form, "\x00\n\r") || strings.ToValidUTF8(form, "") != form {
					continue
				}
				guesses <- request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", form}}
				guesses <- refreshing(form)
				guesses <- refreshing("gatehouse_rt_" + form)
				if !strings.Contains(form, " ") {
					guesses <- request{method: "GET", path: "/v1/me", bearer: strings.Map(headerSafe, form)}
				}
			}
			// A hash or a salt in the place of the secret of a real token, whose
			// session, epoch and generation a thief can read.
			if len(v) == 32 || len(v) == 16 {
				forged := append([]byte{}, template...)
				copy(forged[24:56], v)
				guesses <- refreshing("gatehouse_rt_" + base64.RawURLEncoding.EncodeToString(forged))
			}
		}
		close(guesses)
		wg.Wait()
		// The owner has noticed nothing.
		h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: second.str("access_token")})
		h.expect(200, "", refreshing(second.str("refresh_token")))
	})
}

func headerSafe(r rune) rune {
	if r <= ' ' || r > '~' {
		return -1
	}
	return r
}

// everyValue reads every column of every table, as text and as bytes.
func (h *house) everyValue() map[string]bool {
	h.Helper()
	values := map[string]bool{}
	d := h.database()
	err := d.Read(context.Background(), func(tx *db.Tx) error {
		for _, query := range []string{
			`SELECT id, CAST(epoch AS TEXT) FROM install`,
			`SELECT id, purpose FROM ring_key`, `SELECT key_id, kek FROM ring_wrap`,
			`SELECT id, email FROM account`, `SELECT email_key, roles FROM account`, `SELECT hash, id FROM account`,
			`SELECT id, account_id FROM session`, `SELECT roles, amr FROM session`, `SELECT user_agent, address FROM session`,
			`SELECT CAST(auth_at AS TEXT), CAST(minted_at AS TEXT) FROM session`,
			`SELECT CAST(max_at AS TEXT), CAST(idle_at AS TEXT) FROM session`,
			`SELECT id, kind FROM event`, `SELECT event_id, person FROM event_personal`, `SELECT data, person FROM event_personal`,
		} {
			if err := collect[string](tx, query, values); err != nil {
				return fmt.Errorf("%s: %w", query, err)
			}
		}
		for _, query := range []string{
			`SELECT sealed, sealed FROM ring_wrap`, `SELECT cur, salt FROM session`, `SELECT prev, prev FROM session`,
			`SELECT hash, hash FROM event`, `SELECT salt, salt FROM event_personal`,
		} {
			if err := collect[[]byte](tx, query, values); err != nil {
				return fmt.Errorf("%s: %w", query, err)
			}
		}
		return nil
	})
	if err != nil {
		h.Fatal(err)
	}
	for v := range values {
		if rest, ok := strings.CutPrefix(v, "h1:"); ok {
			values[rest] = true
		}
	}
	return values
}

func collect[T string | []byte](tx *db.Tx, query string, into map[string]bool) error {
	rows, err := tx.Query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var a, b T
		if err := rows.Scan(&a, &b); err != nil {
			return err
		}
		into[string(a)], into[string(b)] = true, true
	}
	return rows.Err()
}

func TestJWT5_AnEndedSessionIsRefusedAtOnce(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		other := h.login("ada@example.org")
		me := h.login("ada@example.org")
		for name, end := range map[string]struct {
			request
			alive bool // whether the caller's own session outlives it
		}{
			"logout":   {request{method: "POST", path: "/v1/logout", bearer: other.str("access_token")}, true},
			"sessions": {request{method: "DELETE", path: "/v1/sessions/" + me.str("session_id"), bearer: me.str("access_token")}, false},
		} {
			h.expect(204, "", end.request)
			ended := other
			if !end.alive {
				ended = me
			}
			h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: ended.str("access_token")})
			if a := h.refresh(ended.str("refresh_token")); a.status != 401 {
				h.Errorf("%s: the refresh token of an ended session: %d", name, a.status)
			}
		}
	})
}

// TestJWT5_WhoIsToldThatASessionIsOverFindsItsTokensDead ends sessions past this
// replica, as another does that has yet to tell: whoever hears here that one has
// ended, by a logout or by a refresh, does not find it alive afterwards.
func TestJWT5_WhoIsToldThatASessionIsOverFindsItsTokensDead(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		for name, hear := range map[string]func(s answer){
			"logout by access token": func(s answer) {
				h.expect(204, "", request{method: "POST", path: "/v1/logout", bearer: s.str("access_token")})
			},
			"logout by refresh token": func(s answer) {
				h.expect(204, "", request{method: "POST", path: "/v1/logout", body: map[string]string{"refresh_token": s.str("refresh_token")}})
			},
			"refresh": func(s answer) {
				if a := h.refresh(s.str("refresh_token")); a.status != 401 {
					h.Errorf("the refresh token of an ended session: %d", a.status)
				}
			},
		} {
			s := h.login("ada@example.org")
			h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: s.str("access_token")})
			if err := dbtest.Open(h.T, h.dbURL).Write(context.Background(), func(tx *db.Tx) error {
				_, err := session.End(tx, s.str("session_id"), "", session.WhyRevoked, time.Now())
				return err
			}); err != nil {
				h.Fatal(err)
			}
			h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: s.str("access_token")}) // it has not heard
			hear(s)
			if a, err := h.try(request{method: "GET", path: "/v1/me", bearer: s.str("access_token")}); err != nil || a.status != 401 {
				h.Errorf("%s: afterwards the access token is answered %d (%v)", name, a.status, err)
			}
		}
	})
}

func TestASessionTooManyEndsTheOldest(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		first, second := h.login("ada@example.org"), h.login("ada@example.org")
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				if a, err := h.try(request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", passphrase}}); err != nil || a.status != 200 {
					h.Errorf("%d %v", a.status, err)
				}
			})
		}
		wg.Wait()
		h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: first.str("access_token")})
		h.expect(401, "invalid_token", request{method: "GET", path: "/v1/me", bearer: second.str("access_token")})
		last := h.login("ada@example.org")
		list := h.expect(200, "", request{method: "GET", path: "/v1/sessions", bearer: last.str("access_token")})
		if n := len(list.fields["sessions"].([]any)); n != 3 {
			h.Errorf("the account has %d sessions, and may have 3", n)
		}
	}, "SESSIONS_PER_ACCOUNT=3")
}

func TestAnotherAccountsSessionCannotBeEndedOrSeen(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		h.register("eve@example.org")
		ada, eve := h.login("ada@example.org"), h.login("eve@example.org")
		h.expect(404, "session_not_found", request{method: "DELETE", path: "/v1/sessions/" + ada.str("session_id"), bearer: eve.str("access_token")})
		list := h.do(request{method: "GET", path: "/v1/sessions", bearer: eve.str("access_token")})
		events := h.do(request{method: "GET", path: "/v1/me/events", bearer: eve.str("access_token")})
		if strings.Contains(list.text+events.text, ada.str("session_id")) {
			h.Error("eve sees ada's session")
		}
		h.expect(200, "", request{method: "GET", path: "/v1/me", bearer: ada.str("access_token")})
	})
}

// TestUnknownAndWrongAreOneAnswer compares everything that the client is told.
func TestUnknownAndWrongAreOneAnswer(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		same := func(a, b answer) {
			h.Helper()
			strip := func(a answer) string {
				a.header.Del("Date")
				a.header.Del("X-Request-Id")
				// Both get a cookie, for an account that may not be there.
				for i, c := range a.header["Set-Cookie"] {
					name, rest, _ := strings.Cut(c, "=")
					value, attributes, _ := strings.Cut(rest, ";")
					a.header["Set-Cookie"][i] = fmt.Sprint(name, len(value), attributes)
				}
				return fmt.Sprint(a.status, a.header, strings.ReplaceAll(a.text, a.str("request_id"), ""))
			}
			if strip(a) != strip(b) {
				h.Errorf("the answers differ:\n%s\n%s", strip(a), strip(b))
			}
		}
		login := func(email string) answer {
			return h.do(request{method: "POST", path: "/v1/login", body: credentials{email, "a wrong password, long"}})
		}
		same(login("ada@example.org"), login("nobody@example.org"))
		register := func(email string) answer {
			return h.do(request{method: "POST", path: "/v1/register", body: credentials{email, passphrase}})
		}
		same(register("ada@example.org"), register("new@example.org"))
		// Registering over an account must not have changed its password.
		h.do(request{method: "POST", path: "/v1/register", body: credentials{"ada@example.org", "another long passphrase"}})
		h.login("ada@example.org")
	})
}

// TestRegisteringTellsNothingToWhoeverSignsInNext registers an address that may
// have an account with a password of the stranger's own, and signs in with it.
func TestRegisteringTellsNothingToWhoeverSignsInNext(t *testing.T) {
	each(t, func(h *house) {
		o := h.operator()
		if _, err := o.CreateUser(h.Context(), flow.Credentials{Email: "ada@example.org", Password: passphrase}, nil, originOfTests); err != nil {
			h.Fatal(err)
		}
		var answers []string
		for _, email := range []string{"ada@example.org", "nobody@example.org"} {
			strangers := credentials{email, "a stranger's own password"}
			h.expect(202, "", request{method: "POST", path: "/v1/register", body: strangers})
			a := h.expect(401, "invalid_credentials", request{method: "POST", path: "/v1/login", body: strangers})
			answers = append(answers, strings.ReplaceAll(a.text, a.str("request_id"), ""))
		}
		if answers[0] != answers[1] {
			h.Errorf("the answers differ:\n%s\n%s", answers[0], answers[1])
		}
		if _, err := o.User(h.Context(), "nobody@example.org"); err != nil {
			h.Error(err)
		}
		if err := o.Verify(h.Context(), "nobody@example.org", originOfTests); err != nil {
			h.Error(err)
		}
		h.expect(200, "", request{method: "POST", path: "/v1/login", body: credentials{"nobody@example.org", "a stranger's own password"}})
	}, "EMAIL_VERIFICATION=required")
}

// TestPW2_SignInsThatUpgradeOneHashAtOnceAllSucceed raises the cost and lets
// sixteen sign in to one account.
func TestPW2_SignInsThatUpgradeOneHashAtOnceAllSucceed(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		dearer := open(h.T, h.dbURL, "BCRYPT_COST=6")
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				a, err := dearer.try(request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", passphrase}})
				if err != nil || a.status != 200 {
					h.Errorf("%d %s %v", a.status, a.text, err)
				}
			})
		}
		wg.Wait()
		cheap := 0
		for v := range dearer.everyValue() {
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
	each(t, func(h *house) {
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				a, err := h.try(request{method: "POST", path: "/v1/register", body: credentials{"ada@example.org", passphrase}})
				if err != nil || a.status != 202 {
					h.Errorf("%d, %v", a.status, err)
				}
			})
		}
		wg.Wait()
		made := 0
		for _, e := range newLedger(h).next() {
			if e == "account_registered success" {
				made++
			}
		}
		if made != 1 {
			h.Errorf("%d accounts were made", made)
		}
		h.login("ada@example.org")
	})
}

// TestPasswordsSurviveWhole signs in with passwords that bcrypt alone would cut
// or refuse, and makes sure that nothing near them works (ASVS 6.2.8).
func TestPasswordsSurviveWhole(t *testing.T) {
	each(t, func(h *house) {
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
			h.expect(202, "", request{method: "POST", path: "/v1/register", body: credentials{email, p.good}})
			h.expect(200, "", request{method: "POST", path: "/v1/login", body: credentials{email, p.good}})
			h.expect(401, "invalid_credentials", request{method: "POST", path: "/v1/login", body: credentials{email, p.near}})
		}
		h.expect(200, "", request{method: "POST", path: "/v1/login", body: credentials{"user4@example.org", "caf\u00e9 au lait chaud"}})
	})
}

// TestTooMuchHashingIsShed floods the pool: some are served, the rest are told
// when to come back, and nobody gets anything else.
func TestTooMuchHashingIsShed(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		var (
			wg     sync.WaitGroup
			mu     sync.Mutex
			counts = map[int]int{}
		)
		for range 48 {
			wg.Go(func() {
				a, err := h.try(request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", passphrase}})
				mu.Lock()
				defer mu.Unlock()
				counts[a.status]++
				if err != nil || a.status == 503 && (a.str("code") != "busy" || a.header.Get("Retry-After") == "") {
					h.Errorf("%d %s %v", a.status, a.text, err)
				}
			})
		}
		wg.Wait()
		if counts[200] == 0 || counts[503] == 0 || counts[200]+counts[503] != 48 {
			h.Errorf("the answers were %v", counts)
		}
		if got := h.counts()["sign_in busy"]; got != fmt.Sprint(counts[503]) {
			h.Errorf("%s sign-ins were counted as busy, and %d were", got, counts[503])
		}
	}, "BCRYPT_COST=12")
}

// TestStoppingFinishesWhatWasAccepted stops the server while a slow sign-in is
// under way.
func TestStoppingFinishesWhatWasAccepted(t *testing.T) {
	each(t, func(h *house) {
		h.register("ada@example.org")
		done := make(chan answer)
		go func() {
			a, err := h.try(request{method: "POST", path: "/v1/login", body: credentials{"ada@example.org", passphrase}})
			if err != nil {
				h.Error(err)
			}
			done <- a
		}()
		for !strings.Contains(h.metrics(), "gatehouse_hashing_busy 1") {
			time.Sleep(time.Millisecond)
		}
		if err := h.stop(); err != nil {
			h.Error(err)
		}
		if a := <-done; a.status != 200 {
			h.Errorf("the sign-in under way: %d %s", a.status, a.text)
		}
	}, "BCRYPT_COST=12")
}
