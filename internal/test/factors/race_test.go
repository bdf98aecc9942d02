package factors

import (
	"fmt"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// together makes requests at once and counts the answers by status and code.
func together(h *harness.Server, n int, r func(i int) harness.Request) map[string]int {
	h.Helper()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		seen = map[string]int{}
	)
	for i := range n {
		wg.Go(func() {
			a, err := h.Try(r(i))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				h.Error(err)
			}
			seen[fmt.Sprint(a.Status, " ", a.Str("code"))]++
		})
	}
	wg.Wait()
	return seen
}

// racers are how many do something at once.
var racers = []int{16, 64}

// pendings makes as many pending sign-ins as a race wants, from several networks: ten wait from each.
func pendings(a *harness.App, from, n int) (tokens []string) {
	a.Helper()
	for i := range n {
		tokens = append(tokens, a.Pending(func(r harness.Request) harness.Request { return harness.StrangersNetwork(from+i/8, r) }))
	}
	return tokens
}

// noGuesses empties the counts, so that a race is about what it is about.
func noGuesses(h *harness.Server) {
	h.Helper()
	if err := h.Mailbox().DB.Write(h.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`DELETE FROM guess`)
		return err
	}); err != nil {
		h.Fatal(err)
	}
}

// Whatever is shown at once, and however often: one session is made (invariant 2 of the rules).
func TestOfManyAtOnceOneSignsIn(t *testing.T) {
	for _, n := range racers {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			clock := &harness.Clock{}
			h := harness.OpenAt(t, dbtest.Postgres(t), clock.Now, harness.BehindProxy, "LOCKOUT_AFTER=10", "LOCKOUT_DELAY_SECONDS=1")
			a := h.AddApp(clock, "ada@example.org")
			sessions := func() int { return h.Count(`SELECT COUNT(*) FROM session`) }
			one := func(what string, r func(i int) harness.Request) {
				t.Helper()
				before := sessions()
				seen := together(h, n, r)
				if made := sessions() - before; seen["200 "] != 1 || made != 1 {
					t.Errorf("%s: %v, %d sessions", what, seen, made)
				}
				noGuesses(h)
			}
			a.Next()
			tokens := pendings(a, 100, n)
			one("one code in many pending sign-ins", func(i int) harness.Request {
				return harness.StrangersNetwork(i, harness.ShowCode(tokens[i], a.Code(0)))
			})
			a.Next()
			token := a.Pending()
			one("one pending sign-in with the code many times", func(i int) harness.Request {
				return harness.StrangersNetwork(i, harness.ShowCode(token, a.Code(0)))
			})
			tokens = pendings(a, 200, n)
			one("one recovery code in many pending sign-ins", func(i int) harness.Request {
				return harness.StrangersNetwork(i, harness.ShowRecovery(tokens[i], a.Recovery[0]))
			})
			token = a.Pending()
			one("one pending sign-in with a recovery code many times", func(i int) harness.Request {
				return harness.StrangersNetwork(i, harness.ShowRecovery(token, a.Recovery[1]))
			})
			const eve = "eve@example.org"
			h.Register(eve)
			access := h.Login(eve).Str("access_token")
			mailed := h.MailFactorCode(eve, harness.Post("/v1/factors/mail-code", nil, access))
			b := &harness.App{Server: h, Email: eve, Clock: clock, Secret: h.Expect(200, "", harness.Post("/v1/factors/totp", nil, access)).Str("secret")}
			one("one offer, confirmed many times", func(int) harness.Request {
				return harness.Post("/v1/factors/totp/confirm", mailed.With("code", b.Code(0)), access)
			})
			if n := h.Count(`SELECT factors FROM account WHERE email = 'eve@example.org'`); n != 1 {
				t.Errorf("the account counts %d factors", n)
			}
		})
	}
}

// However many pending sign-ins there are, and from however many networks: 80 codes are looked at.
func TestASVS_V6_6_3_EightyCodesAreLookedAt(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": dbtest.SQLite, "postgres": dbtest.Postgres} {
		t.Run(name, func(t *testing.T) {
			clock := &harness.Clock{}
			h := harness.OpenAt(t, url(t), clock.Now, harness.BehindProxy, "LOCKOUT_AFTER=10", "LOCKOUT_DELAY_SECONDS=1")
			a := h.AddApp(clock, "ada@example.org")
			known := h.Browser()
			known.Send(harness.CookieSignIn(a.Email, harness.Passphrase))
			a.Next()
			if got := known.Send(harness.Post("/v1/login/factor", map[string]any{"code": a.Code(0), "cookies": true})); got.Status != 200 {
				t.Fatalf("the owner's browser: %d %s", got.Status, got.Text)
			}
			var tokens []string
			for i := range 64 {
				tokens = append(tokens, a.Pending(func(r harness.Request) harness.Request { return harness.StrangersNetwork(i, r) }))
			}
			wrong := a.WrongCode()
			seen := together(h, 320, func(i int) harness.Request {
				return harness.StrangersNetwork(i%64, harness.ShowCode(tokens[i%64], wrong))
			})
			if seen["401 invalid_code"] != 80 || seen["401 invalid_code"]+seen["429 factor_locked"] != 320 {
				t.Errorf("the answers: %v", seen)
			}
			locked := kinds(h.Mailbox(), a.Email, notice.FactorLocked)
			if len(locked) != 1 || locked[0].Link == "" {
				t.Fatalf("mails about the lock: %+v", locked)
			}
			// The owner: a known browser, a recovery code anywhere, and the link anywhere.
			a.Next()
			known.Send(harness.CookieSignIn(a.Email, harness.Passphrase))
			if got := known.Send(harness.Post("/v1/login/factor", map[string]any{"code": a.Code(0), "cookies": true})); got.Status != 200 {
				t.Errorf("the owner's browser: %d %s", got.Status, got.Text)
			}
			a.Next()
			h.Expect(429, "factor_locked", harness.ShowCode(a.Pending(), a.Code(0)))
			token := a.Pending()
			h.Expect(202, "", harness.Post("/v1/login/factor/unlock", harness.Body{"pending_token": token}))
			if n := len(kinds(h.Mailbox(), a.Email, notice.FactorLocked)); n != 2 {
				t.Errorf("%d mails after asking again", n)
			}
			h.Expect(200, "", harness.ShowRecovery(token, a.Recovery[0]))
			// A new password clears nothing of it.
			h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": a.Email}))
			reset := harness.TokenOf(t, h.Mailbox().Last(a.Email, notice.ResetPassword).Link)
			h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": reset, "new_password": harness.AnotherPassphrase}))
			waits := h.Expect(403, "second_factor_required", harness.SignInAs(a.Email, harness.AnotherPassphrase)).Str("pending_token")
			h.Expect(429, "factor_locked", harness.ShowCode(waits, a.Code(0)))
			// A sign-in with a factor does: who counted there does not know this password.
			clock.Shift(1)
			h.Expect(200, "", harness.ShowRecovery(waits, a.Recovery[2]))
			a.Next()
			waits = h.Expect(403, "second_factor_required", harness.SignInAs(a.Email, harness.AnotherPassphrase)).Str("pending_token")
			h.Expect(200, "", harness.ShowCode(waits, a.Code(0)))
		})
	}
}

// A sign-in with the password alone does not outlive the moment in which a factor is added.
func TestTheFirstFactorEndsWhatHasNone(t *testing.T) {
	clock := &harness.Clock{}
	h := harness.OpenAt(t, dbtest.Postgres(t), clock.Now, harness.BehindProxy)
	for round := range 8 {
		email := fmt.Sprintf("ada%d@example.org", round)
		h.Register(email)
		access := h.Login(email).Str("access_token")
		mailed := h.MailFactorCode(email, harness.Post("/v1/factors/mail-code", nil, access))
		a := &harness.App{Server: h, Email: email, Clock: clock, Secret: h.Expect(200, "", harness.Post("/v1/factors/totp", nil, access)).Str("secret")}
		together(h, 16, func(i int) harness.Request {
			if i == 8 {
				return harness.Post("/v1/factors/totp/confirm", mailed.With("code", a.Code(0)), access)
			}
			return harness.StrangersNetwork(i, harness.SignInAs(email, harness.Passphrase))
		})
		alone := h.Count(`SELECT COUNT(*) FROM session JOIN account ON account.id = session.account_id
			WHERE session.ended_at IS NULL AND account.factors > 0 AND session.amr NOT LIKE '%mfa%'`)
		if alone != 0 {
			t.Fatalf("round %d: %d sessions of the password alone live on", round, alone)
		}
	}
	if n := h.Count(`SELECT COUNT(*) FROM account WHERE factors = 1`); n != 8 {
		t.Errorf("%d accounts have a factor", n)
	}
}

// New recovery codes meet sign-ins with the old ones: however it went, ten are good afterwards, and none of the old ones.
func TestNewRecoveryCodesEndTheOldOnesWhoeverUsesThem(t *testing.T) {
	clock := &harness.Clock{}
	h := harness.OpenAt(t, dbtest.Postgres(t), clock.Now, harness.BehindProxy, "LOCKOUT_AFTER=10", "LOCKOUT_DELAY_SECONDS=1")
	for round := range 6 {
		a := h.AddApp(clock, fmt.Sprintf("ada%d@example.org", round))
		tokens := pendings(a, 100*round, len(a.Recovery))
		seen := together(h, 1+len(tokens), func(i int) harness.Request {
			if i == len(tokens)/2 {
				return harness.Post("/v1/factors/recovery-codes", nil, a.Access)
			}
			i %= len(tokens)
			return harness.StrangersNetwork(100*round+i, harness.ShowRecovery(tokens[i], a.Recovery[i]))
		})
		for answer := range seen {
			if answer != "200 " && answer != "401 sign_in_over" && answer != "401 invalid_recovery_code" {
				t.Errorf("round %d: %v", round, seen)
			}
		}
		unused := h.Count(`SELECT COUNT(*) FROM recovery_code JOIN account ON account.id = account_id WHERE used_at IS NULL AND email = '` + a.Email + `'`)
		all := h.Count(`SELECT COUNT(*) FROM recovery_code JOIN account ON account.id = account_id WHERE email = '` + a.Email + `'`)
		if unused != 10 || all != 10 {
			t.Fatalf("round %d: %d of %d codes are unused; %v", round, unused, all, seen)
		}
		for i, old := range a.Recovery[:3] {
			h.Expect(401, "invalid_recovery_code", harness.StrangersNetwork(i, harness.ShowRecovery(a.Pending(), old)))
		}
	}
}

// A secret and a recovery code that are copied to another account open nothing there, whoever wrote the rows.
func TestRowsThatAreCopiedToAnotherAccountOpenNothing(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		ada, eve := h.AddApp(clock, "ada@example.org"), h.AddApp(clock, "eve@example.org")
		err := h.Mailbox().DB.Write(h.Context(), func(tx *db.Tx) error {
			for _, q := range []string{
				`UPDATE totp SET id = (SELECT e.id FROM totp AS e JOIN account ON account.id = e.account_id WHERE email = 'eve@example.org'),
					sealed = (SELECT e.sealed FROM totp AS e JOIN account ON account.id = e.account_id WHERE email = 'eve@example.org')
					WHERE account_id = (SELECT id FROM account WHERE email = 'ada@example.org')`,
				`INSERT INTO recovery_code (account_id, hash, made_at) SELECT a.id, r.hash, r.made_at FROM recovery_code AS r JOIN account AS e ON e.id = r.account_id
					JOIN account AS a ON a.email = 'ada@example.org' WHERE e.email = 'eve@example.org'`,
			} {
				if _, err := tx.Exec(q); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			h.Fatal(err)
		}
		eve.Next()
		h.Expect(401, "invalid_code", harness.ShowCode(ada.Pending(), eve.Code(0)))
		if h.Logged("failed_login_attempt", "app_unreadable") != 1 {
			h.Error("a secret that can't be opened leaves no trace")
		}
		h.Expect(401, "invalid_recovery_code", harness.ShowRecovery(ada.Pending(), eve.Recovery[0]))
		h.Expect(200, "", harness.ShowRecovery(ada.Pending(), ada.Recovery[0]))
	})
}
