package passkeys

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor/passkeytest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

const ada = "ada@example.org"

// each runs a test on every database, with a clock that it sets.
func each(t *testing.T, test func(h *harness.Server, clock *harness.Clock), settings ...string) {
	t.Helper()
	dbtest.EachProduction(t, func(t *testing.T, url string) {
		clock := &harness.Clock{}
		test(harness.OpenAt(t, url, clock.Now, append(settings, harness.BehindProxy)...), clock)
	})
}

// claims reads an access token's amr and acr.
func claims(h *harness.Server, access string) (amr []string, acr string) {
	h.Helper()
	var c struct {
		AMR []string `json:"amr"`
		ACR string   `json:"acr"`
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(access, ".")[1])
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil {
		h.Fatal(err)
	}
	return c.AMR, c.ACR
}

func touched(c *passkeytest.Ceremony) { c.Flags &^= passkeytest.Verified }

// exec changes the database behind the server's back.
func exec(h *harness.Server, query string, args ...any) {
	h.Helper()
	if err := h.Database().Write(h.Context(), func(tx *db.Tx) error { _, err := tx.Exec(query, args...); return err }); err != nil {
		h.Fatal(err)
	}
}

func deletion(path, access string) harness.Request {
	return harness.Request{Method: "DELETE", Path: path, Bearer: access}
}

// An account adds passkeys, signs in by them alone and behind the password, renames one and removes them.
func TestASVS_V6_3_3_AWholeLife(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		k := h.PasskeyFor(ada)
		amr, acr := claims(h, k.Access)
		if diff := cmp.Diff([]string{"pwd", "pop", "mfa"}, amr); diff != "" || acr != "phr" || len(k.Recovery) != 10 {
			h.Errorf("the first passkey: acr %s, %d codes\n%s", acr, len(k.Recovery), diff)
		}
		if mail := h.Mailbox().Last(ada, notice.FactorAdded); mail.Undo == "" || mail.Factor != "passkey" {
			h.Errorf("the mail: %+v", mail)
		}
		in := h.Expect(200, "", k.Alone())
		amr, acr = claims(h, in.Str("access_token"))
		if diff := cmp.Diff([]string{"pop", "mfa"}, amr); diff != "" || acr != "phr" {
			h.Errorf("alone: acr %s\n%s", acr, diff)
		}
		waits := h.Expect(403, "second_factor_required", harness.SignInAs(ada, harness.Passphrase))
		if diff := cmp.Diff([]any{"passkey", "recovery_code"}, waits.Fields["factors"]); diff != "" {
			h.Errorf("the ways:\n%s", diff)
		}
		// A key that is only touched does behind the password, and alone it does not.
		behind := h.Expect(200, "", k.Behind(waits.Str("pending_token"), touched))
		if _, acr = claims(h, behind.Str("access_token")); acr != "phr" {
			h.Errorf("behind the password: acr %s", acr)
		}
		h.Expect(401, "invalid_passkey", k.Alone(touched))
		// A recovery code is good beside it.
		h.Expect(200, "", harness.ShowRecovery(k.Pending(), k.Recovery[0]))

		access := in.Str("access_token")
		second := h.NewPasskey(ada)
		add := func(forge ...func(*passkeytest.Ceremony)) harness.Request {
			made := second.Create(harness.Post("/v1/factors/passkeys/options", nil, access), forge...)
			return harness.Post("/v1/factors/passkeys", harness.Body{"name": "My key"}.Object("credential", made), access)
		}
		h.Expect(401, "invalid_passkey", add(func(c *passkeytest.Ceremony) { c.ClientData["origin"] = "https://evil.example.org" }))
		h.Expect(204, "", add())
		h.Expect(409, "passkey_known", add())
		h.Expect(200, "", harness.Get("/v1/me", behind.Str("access_token"))) // a further one leaves the sessions
		h.Expect(200, "", second.Alone())
		list := h.Expect(200, "", harness.Get("/v1/factors", access)).Fields["passkeys"].([]any)
		if len(list) != 2 || list[1].(map[string]any)["name"] != "My key" || list[1].(map[string]any)["alone"] != true {
			h.Fatalf("the list: %v", list)
		}
		path := func(i int) string { return "/v1/factors/passkeys/" + list[i].(map[string]any)["id"].(string) }
		rename := func(name string) harness.Request {
			return harness.Request{Method: "PATCH", Path: path(1), Body: harness.Body{"name": name}, Bearer: access}
		}
		h.Expect(204, "", rename("  Work   laptop "))
		h.Expect(400, "invalid_name", rename(strings.Repeat("x", 65)))
		h.Expect(404, "factor_not_found", harness.Request{Method: "PATCH", Path: "/v1/factors/passkeys/x", Body: harness.Body{"name": "x"}, Bearer: access})
		// A stranger's session changes nothing here.
		h.Register("eve@example.org")
		eve := h.PasskeyFor("eve@example.org")
		h.Expect(404, "factor_not_found", deletion(path(1), eve.Access))
		h.Expect(404, "factor_not_found", harness.Request{Method: "PATCH", Path: path(1), Body: harness.Body{"name": "x"}, Bearer: eve.Access})

		clock.Shift(16 * time.Minute)
		h.Expect(403, "sign_in_again", deletion(path(0), h.Expect(200, "", harness.Refreshing(in.Str("refresh_token"))).Str("access_token")))
		access = h.Expect(200, "", second.Alone()).Str("access_token")
		h.Expect(204, "", deletion(path(0), access))
		h.Expect(401, "invalid_passkey", k.Alone())
		h.Expect(204, "", deletion(path(1), access))
		h.Mailbox().Last(ada, notice.FactorRemoved)
		if left := h.Expect(200, "", harness.Get("/v1/factors", access)); left.Fields["recovery_codes_left"] != 0.0 || len(left.Fields["passkeys"].([]any)) != 0 {
			h.Errorf("left: %s", left.Text)
		}
		h.Login(ada)
	})
}

// Of one answer that is sent many times at once one signs in, and none later; alone and behind the password.
func TestOfManyAtOnceOneSignsIn(t *testing.T) {
	h := harness.Open(t, dbtest.Postgres(t), harness.BehindProxy)
	h.Register(ada)
	k := h.PasskeyFor(ada)
	atOnce := func(r harness.Request) {
		h.Helper()
		var (
			wg   sync.WaitGroup
			mu   sync.Mutex
			won  int
			lost = map[string]int{}
		)
		for i := range 16 {
			wg.Go(func() {
				r := r
				r.Header = http.Header{"X-Forwarded-For": {fmt.Sprintf("198.51.100.%d", i+1)}}
				a, err := h.Try(r)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					h.Error(err)
				case a.Status == 200:
					won++
				default:
					lost[a.Str("code")]++
				}
			})
		}
		wg.Wait()
		if won != 1 {
			h.Errorf("%d signed in; %v", won, lost)
		}
	}
	for range 5 {
		alone := k.Alone()
		atOnce(alone)
		h.Expect(401, "invalid_passkey", alone)
		behind := k.Behind(k.Pending())
		atOnce(behind)
		h.Expect(401, "sign_in_over", behind)
	}
}

// What was made for one thing opens no other.
func TestTypeConfusion(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		k := h.PasskeyFor(ada)
		alone := k.Alone().Body.(map[string]any)["credential"].(json.RawMessage)
		token := k.Pending()
		step := k.Behind(token).Body.(map[string]any)["passkey"].(json.RawMessage)
		// An answer to the challenge of a sign-in alone, behind a password, and the other way round.
		h.Expect(401, "invalid_passkey", harness.Post("/v1/login/factor", harness.Body{"pending_token": token}.Object("passkey", alone)))
		h.Expect(401, "invalid_passkey", harness.Post("/v1/login/passkey", harness.Body{}.Object("credential", step)))
		// Of another pending sign-in.
		h.Expect(401, "invalid_passkey", harness.Post("/v1/login/factor", harness.Body{"pending_token": k.Pending()}.Object("passkey", step)))
		// Somebody else's passkey, behind this password.
		h.Register("eve@example.org")
		eve := h.PasskeyFor("eve@example.org")
		h.Expect(401, "invalid_passkey", eve.Behind(token))
		// A challenge of a session, used by another.
		other := h.NewPasskey(ada)
		made := other.Create(harness.Post("/v1/factors/passkeys/options", nil, k.Access))
		again := h.Expect(200, "", k.Alone()).Str("access_token")
		h.Expect(401, "invalid_passkey", harness.Post("/v1/factors/passkeys", harness.Body{}.Object("credential", made), again))
		// The wrong account's handle, and none.
		for name, forge := range map[string]func(r map[string]any){
			"another's": func(r map[string]any) { r["userHandle"] = passkeytest.Base64(eve.Handle) },
			"none":      func(r map[string]any) { delete(r, "userHandle") },
		} {
			a := h.Do(k.Alone(func(c *passkeytest.Ceremony) {
				c.Answer = func(a map[string]any) { forge(a["response"].(map[string]any)) }
			}))
			if a.Status != 401 || a.Str("code") != "invalid_passkey" {
				h.Errorf("the handle of %s: %d %s", name, a.Status, a.Text)
			}
		}
		h.Expect(400, "wrong_type", harness.Post("/v1/login/passkey", harness.Body{"credential": "x"}))
		h.Expect(400, "required", harness.Post("/v1/login/passkey", harness.Body{}))
		h.Expect(401, "invalid_passkey", harness.Post("/v1/login/passkey", harness.Body{}.Object("credential", []byte("{}"))))
		h.Expect(200, "", k.Behind(token)) // five tries, three are gone
	})
}

// A challenge is good for ten minutes; nothing is counted of one that is too old.
func TestAChallengeIsGoodForTenMinutes(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		k := h.PasskeyFor(ada)
		old := k.Alone()
		clock.Shift(10*time.Minute + time.Second)
		for range 20 {
			h.Expect(401, "challenge_expired", old)
		}
		h.Expect(200, "", k.Alone())
	})
}

// After a leak of all keys no challenge of before is recognised; passkeys, and apps' secrets, are.
func TestARevokedKeysChallengesAreNotOurs(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		k := h.PasskeyFor(ada)
		var old []harness.Request // each is good once
		for range 20 {
			old = append(old, k.Alone())
		}
		if _, err := h.Keys().RevokeLeaked(h.Context(), harness.OriginOfTests); err != nil {
			h.Fatal(err)
		}
		h.Eventually("the replica's knowledge", func() (string, bool) {
			got := h.Do(harness.Get("/v1/me", k.Access))
			return got.Text, got.Status == 401
		})
		h.Eventually("an old challenge", func() (string, bool) {
			if len(old) == 0 {
				return "all were taken", false
			}
			got := h.Do(old[0])
			old = old[1:]
			return got.Text, got.Status == 401
		})
		got := h.Do(k.Alone())
		if got.Status != 200 {
			h.Errorf("a new one: %d %s", got.Status, got.Text)
		}
	})
}

// A counter that does not rise tells of a copy: the passkey counts, opens nothing, and its owner is notified.
func TestACopiedKeyIsSuspended(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		k := h.PasskeyFor(ada, func(c *passkeytest.Ceremony) { c.Counter = 1 })
		count := func(n uint32) func(*passkeytest.Ceremony) { return func(c *passkeytest.Ceremony) { c.Counter = n } }
		in := h.Expect(200, "", k.Alone(count(5)))
		h.Expect(401, "passkey_suspended", k.Alone(count(5)))
		h.Mailbox().Last(ada, notice.PasskeySuspect)
		h.Expect(401, "passkey_suspended", k.Alone(count(9)))
		if n := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'suspicious_activity'`); n != 1 {
			h.Errorf("%d events", n)
		}
		// It is no way down: the password alone opens nothing still, and it is not offered.
		waits := h.Expect(403, "second_factor_required", harness.SignInAs(ada, harness.Passphrase))
		if diff := cmp.Diff([]any{"recovery_code"}, waits.Fields["factors"]); diff != "" {
			h.Errorf("the ways:\n%s", diff)
		}
		access := h.Expect(200, "", harness.ShowRecovery(waits.Str("pending_token"), k.Recovery[0])).Str("access_token")
		list := h.Expect(200, "", harness.Get("/v1/factors", access)).Fields["passkeys"].([]any)
		path := "/v1/factors/passkeys/" + list[0].(map[string]any)["id"].(string)
		if list[0].(map[string]any)["suspect_at"] == nil {
			h.Errorf("the list: %v", list)
		}
		h.Expect(204, "", harness.Post(path+"/reinstate", nil, access))
		h.Expect(404, "factor_not_found", harness.Post(path+"/reinstate", nil, access))
		h.Expect(200, "", k.Alone(count(6)))
		_ = in
	})
}

// A row that somebody else wrote opens nothing.
func TestARowThatWasAlteredOpensNothing(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		k := h.PasskeyFor(ada)
		planted := h.NewPasskey(ada)
		planted.Handle = k.Handle
		exec(h, `UPDATE passkey SET credential = $1, public_key = $2`, planted.ID, planted.COSE())
		h.Expect(401, "invalid_passkey", planted.Alone())
		h.Expect(401, "invalid_passkey", planted.Behind(k.Pending()))
		if n := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'suspicious_activity'`); n != 2 {
			h.Errorf("%d events", n)
		}
	})
}

// Who is disabled, or must set a new password, is told so after the proof.
func TestADisabledAccountIsToldAfterTheProof(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		k := h.PasskeyFor(ada)
		exec(h, `UPDATE account SET disabled_at = 1`)
		h.Expect(401, "invalid_passkey", k.Alone(touched))
		h.Expect(403, "account_disabled", k.Alone())
		exec(h, `UPDATE account SET disabled_at = NULL, reset_at = 1`)
		h.Expect(403, "password_reset_required", k.Alone())
	})
}

// What is wrong takes a try of the network's.
func TestJunkIsCounted(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "LOGIN_RATE_LIMIT_ATTEMPTS=3")
	junk := harness.Post("/v1/login/passkey", harness.Body{}.Object("credential", []byte(`{"x":1}`)))
	for range 3 {
		h.Expect(401, "invalid_passkey", junk)
	}
	h.Expect(429, "rate_limited", junk)
}

// Passkeys behind a password only, and none.
func TestPasskeysAreOff(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "PASSKEYS=second")
	h.Register(ada)
	k := h.PasskeyFor(ada)
	h.Expect(409, "passkeys_off", harness.Post("/v1/login/passkey/options", nil))
	h.Expect(409, "passkeys_off", harness.Post("/v1/login/passkey", harness.Body{}.Object("credential", []byte("{}"))))
	h.Expect(200, "", k.Behind(k.Pending()))
}

// Of another RP ID passkeys rest, and count: a changed setting opens no account to a password.
func TestPasskeysOfAnotherHostRestAndCount(t *testing.T) {
	url := dbtest.SQLite(t)
	h := harness.Open(t, url)
	h.Register(ada)
	k := h.PasskeyFor(ada)
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	h = harness.Open(t, url, "PASSKEY_RP_ID=new.example.org")
	k.Server, k.Browser.Origin = h, h.URL()
	if said := h.Logs.String(); !strings.Contains(said, `"rp_id":"new.example.org","passkeys":1,"accounts_with_nothing_else":1`) {
		t.Errorf("the start does not tell of the passkeys that rest: %s", said)
	}
	waits := h.Expect(403, "second_factor_required", harness.SignInAs(ada, harness.Passphrase))
	if diff := cmp.Diff([]any{"recovery_code"}, waits.Fields["factors"]); diff != "" {
		h.Errorf("the ways:\n%s", diff)
	}
	h.Expect(401, "invalid_passkey", k.Alone())
	h.Expect(401, "invalid_passkey", k.Behind(waits.Str("pending_token")))
}

// Browsers and password managers find us.
func TestWellKnown(t *testing.T) {
	h := harness.Open(t, dbtest.SQLite(t), "PASSKEY_ORIGINS=https://app.example.org,android:apk-key-hash:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU")
	if got := h.Expect(200, "", harness.Get("/.well-known/webauthn")); !cmp.Equal(got.Fields["origins"], []any{"https://app.example.org"}) {
		h.Error(got.Text)
	}
	if got := h.Expect(200, "", harness.Get("/.well-known/passkey-endpoints")); !strings.HasSuffix(got.Str("enroll"), "/account") {
		h.Error(got.Text)
	}
}

// A passkey that somebody else added goes by the mail's link and the password of then.
func TestUndoTakesAPasskeyAway(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		k := h.PasskeyFor(ada)
		token := harness.TokenOf(h.T, h.Mailbox().Last(ada, notice.FactorAdded).Undo)
		h.Expect(403, "wrong_password", harness.Post("/v1/factors/undo", harness.Body{"token": token, "password": "not the password of then"}))
		h.Expect(204, "", harness.Post("/v1/factors/undo", harness.Body{"token": token, "password": harness.Passphrase}))
		h.Expect(401, "invalid_token", harness.Get("/v1/me", k.Access))
		h.Expect(401, "invalid_passkey", k.Alone())
		h.Expect(403, "password_reset_required", harness.SignInAs(ada, harness.Passphrase))
		if n := h.Count(`SELECT factors FROM account`) + h.Count(`SELECT COUNT(*) FROM passkey`) + h.Count(`SELECT COUNT(*) FROM recovery_code`); n != 0 {
			h.Errorf("%d are left", n)
		}
	})
}
