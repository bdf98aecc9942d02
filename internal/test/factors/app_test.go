package factors

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// each runs a test on every database, with a clock that it sets.
func each(t *testing.T, test func(h *harness.Server, clock *harness.Clock), settings ...string) {
	t.Helper()
	dbtest.EachProduction(t, func(t *testing.T, url string) {
		clock := &harness.Clock{}
		test(harness.OpenAt(t, url, clock.Now, append(settings, harness.BehindProxy)...), clock)
	})
}

// amrOf reads an access token's amr.
func amrOf(t *testing.T, access string) (amr []string) {
	t.Helper()
	parts := strings.Split(access, ".")
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ AMR []string }
	if err == nil {
		err = json.Unmarshal(raw, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims.AMR
}

// An account adds an app, signs in by it and by recovery codes, and removes it again.
func TestASVS_V6_3_3_V6_5_1_AWholeLife(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const ada = "ada@example.org"
		a := h.AddApp(clock, ada)
		box := h.Mailbox()
		if got, want := amrOf(h.T, a.Access), []string{"pwd", "otp", "mfa"}; !cmp.Equal(got, want) {
			h.Errorf("amr %v, want %v", got, want)
		}
		if len(a.Recovery) != 10 {
			h.Errorf("recovery codes: %v", a.Recovery)
		}
		if me := h.Expect(200, "", harness.Get("/v1/me", a.Access)); me.Fields["email_verified"] != true {
			h.Error("the mailed code did not verify the address")
		}
		added := box.Last(ada, notice.FactorAdded)
		if added.Undo == "" || added.Factor != "totp" {
			h.Errorf("the mail: %+v", added)
		}
		// The code that confirmed it signs nobody in.
		a.SignsNobodyIn(a.Confirmed)
		waits := h.Expect(403, "second_factor_required", harness.SignInAs(ada, harness.Passphrase))
		if diff := cmp.Diff([]any{"totp", "recovery_code"}, waits.Fields["factors"]); diff != "" {
			h.Errorf("the ways:\n%s", diff)
		}
		in := a.SignIn()
		if got, want := amrOf(h.T, in.Str("access_token")), []string{"pwd", "otp", "mfa"}; !cmp.Equal(got, want) {
			h.Errorf("amr %v, want %v", got, want)
		}
		// A recovery code, typed badly; a second time it is nothing.
		typed := strings.ToLower(strings.ReplaceAll(a.Recovery[3], "-", " "))
		rec := h.Expect(200, "", harness.ShowRecovery(a.Pending(), typed))
		if got := amrOf(h.T, rec.Str("access_token")); !slices.Contains(got, "recovery") || rec.Fields["recovery_codes_left"] != 9.0 {
			h.Errorf("recovery: %s", rec.Text)
		}
		if used := box.Last(ada, notice.RecoveryCodeUsed); used.Left != 9 {
			h.Errorf("the mail: %+v", used)
		}
		h.Expect(401, "invalid_recovery_code", harness.ShowRecovery(a.Pending(), a.Recovery[3]))

		access := rec.Str("access_token")
		fresh := h.Expect(200, "", harness.Post("/v1/factors/recovery-codes", nil, access)).Fields["recovery_codes"].([]any)
		h.Expect(401, "invalid_recovery_code", harness.ShowRecovery(a.Pending(), a.Recovery[4]))
		h.Expect(200, "", harness.ShowRecovery(a.Pending(), fresh[0].(string)))
		list := h.Expect(200, "", harness.Get("/v1/factors", access))
		if list.Fields["recovery_codes_left"] != 9.0 || list.Fields["totp"] == nil {
			h.Errorf("the list: %s", list.Text)
		}
		h.Expect(204, "", harness.Request{Method: "DELETE", Path: "/v1/factors/totp", Bearer: access})
		h.Expect(401, "invalid_token", harness.Get("/v1/me", in.Str("access_token"))) // the others ended
		h.Expect(404, "factor_not_found", harness.Request{Method: "DELETE", Path: "/v1/factors/totp", Bearer: access})
		h.Expect(409, "no_factor", harness.Post("/v1/factors/recovery-codes", nil, access))
		list = h.Expect(200, "", harness.Get("/v1/factors", access))
		if list.Fields["recovery_codes_left"] != 0.0 || list.Fields["totp"] != nil {
			h.Errorf("the list: %s", list.Text)
		}
		box.Last(ada, notice.FactorRemoved)
		h.Login(ada)
	})
}

// The first factor needs the mailed code and a fresh sign-in; a further change needs the factor.
func TestASVS_V7_5_1_V7_5_3_WhatAChangeNeeds(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const ada = "ada@example.org"
		h.Register(ada)
		access := h.Login(ada).Str("access_token")
		mailed := h.MailFactorCode(ada, harness.Post("/v1/factors/mail-code", nil, access))
		a := &harness.App{Server: h, Email: ada, Clock: clock}
		a.Secret = h.Expect(200, "", harness.Post("/v1/factors/totp", nil, access)).Str("secret")
		confirm := func(code string, with harness.Body) harness.Request {
			return harness.Post("/v1/factors/totp/confirm", with.With("code", code), access)
		}
		h.Expect(400, "required", harness.Post("/v1/factors/totp/confirm", harness.Body{"code": a.Code(0)}, access))
		h.Expect(400, "invalid_mail_code", confirm(a.Code(0), mailed.With("mail_code", "AAAA2222")))
		// It is good for who asked for it (ASVS 6.6.2).
		h.Expect(400, "request_required", confirm(a.Code(0), harness.Body{"mail_code": mailed["mail_code"]}))
		h.Expect(400, "invalid_mail_code", confirm(a.Code(0), mailed.With("request", "another")))
		h.Expect(400, "invalid_code", confirm(a.WrongCode(), mailed))
		// The offer is the session's that asked.
		other := h.Login(ada).Str("access_token")
		h.Expect(400, "offer_over", harness.Post("/v1/factors/totp/confirm", mailed.With("code", a.Code(0)), other))
		// A code that fits is no use without the mail's; a mail's code for something else is not one for this.
		for range 1 {
			h.Do(confirm(a.WrongCode(), mailed))
		}
		h.Expect(400, "offer_over", confirm(a.Code(0), mailed)) // five tries
		a.Secret = h.Expect(200, "", harness.Post("/v1/factors/totp", nil, access)).Str("secret")
		clock.Shift(16 * time.Minute)
		access = h.Expect(200, "", harness.Refreshing(h.Login(ada).Str("refresh_token"))).Str("access_token")
		clock.Shift(16 * time.Minute)
		access = h.Login(ada).Str("access_token")
		old := h.Login(ada).Str("refresh_token")
		clock.Shift(16 * time.Minute)
		stale := h.Expect(200, "", harness.Refreshing(old)).Str("access_token")
		for _, r := range []harness.Request{
			harness.Post("/v1/factors/mail-code", nil, stale), harness.Post("/v1/factors/totp", nil, stale),
			harness.Post("/v1/factors/totp/confirm", harness.Body{"code": "123456"}, stale), harness.Post("/v1/factors/recovery-codes", nil, stale),
			{Method: "DELETE", Path: "/v1/factors/totp", Bearer: stale},
		} {
			h.Expect(403, "sign_in_again", r)
		}
		_ = access
	})
}

// One wrong answer tells how many tries are left; five end the sign-in, and tell the owner.
func TestASVS_V6_3_5_AStrangerWithThePassword(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const ada = "ada@example.org"
		a := h.AddApp(clock, ada)
		box := h.Mailbox()
		from := func(r harness.Request) harness.Request { return harness.StrangersNetwork(3, r) }
		token := a.Pending(from)
		for left := 4; left >= 0; left-- {
			got := h.Expect(401, "invalid_code", from(harness.ShowCode(token, a.WrongCode())))
			if got.Fields["tries_left"] != float64(left) {
				h.Errorf("tries left: %s, want %d", got.Text, left)
			}
			clock.Shift(15 * time.Minute / 20) // past the waits, within the ten minutes
			if left == 1 {
				if n := len(kinds(box, ada, notice.PasswordKnown)); n != 0 {
					h.Errorf("told after four: %d", n)
				}
			}
		}
		h.Expect(401, "sign_in_over", from(harness.ShowCode(token, a.Code(0))))
		if known := box.Last(ada, notice.PasswordKnown); known.NotMe == "" {
			h.Errorf("the mail: %+v", known)
		}
		// Another one the same day is not told again.
		clock.Shift(20 * time.Minute)
		token = a.Pending(from)
		for range 5 {
			h.Do(from(harness.ShowCode(token, a.WrongCode())))
			clock.Shift(time.Minute)
		}
		if n := len(kinds(box, ada, notice.PasswordKnown)); n != 1 {
			h.Errorf("%d mails", n)
		}
	}, "LOCKOUT_AFTER=10", "LOCKOUT_DELAY_SECONDS=1")
}

// kinds returns the mails of a kind.
func kinds(box *harness.Mailbox, to string, kind notice.Kind) (list []notice.Mail) {
	for _, m := range box.All(to) {
		if m.Kind == kind {
			list = append(list, m)
		}
	}
	return list
}

// A sign-in that a stranger leaves half done is told as well, and one from where the owner then signs in is not.
func TestASVS_V6_3_5_AnAbandonedSignInIsTold(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const ada, eve = "ada@example.org", "eve@example.org"
		a, b := h.AddApp(clock, ada), h.AddApp(clock, eve)
		box := h.Mailbox()
		a.Pending(func(r harness.Request) harness.Request { return harness.StrangersNetwork(1, r) })
		b.Pending() // the owner looks for the phone, and begins again
		b.SignIn()
		clock.Shift(11 * time.Minute)
		h.Eventually("the mail", func() (string, bool) { return "none yet", len(kinds(box, ada, notice.PasswordKnown)) == 1 })
		if n := len(kinds(box, eve, notice.PasswordKnown)); n != 0 {
			h.Errorf("%d mails to who signed in", n)
		}
		h.Eventually("the pending sign-ins", func() (string, bool) { // hers ends by a transaction of its own
			n := h.Count(`SELECT COUNT(*) FROM pending`)
			return fmt.Sprintf("%d are left", n), n == 0
		})
	})
}

// The second step opens nothing but itself, and nothing else opens it.
func TestAPendingTokenIsNoOther(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		a := h.AddApp(clock, "ada@example.org")
		token := a.Pending()
		h.Expect(401, "invalid_token", harness.Get("/v1/me", token))
		h.Expect(401, "invalid_refresh_token", harness.Refreshing(token))
		for _, other := range []string{a.Access, a.Refresh} { // which are longer than any token of a pending sign-in
			h.Expect(400, "too_long", harness.ShowCode(other, a.Code(1)))
		}
		undo := harness.TokenOf(h.T, h.Mailbox().Last(a.Email, notice.FactorAdded).Undo)
		for _, other := range []string{undo, "gatehouse_pt_nonsense", token + "x", token[:len(token)-1]} {
			h.Expect(401, "sign_in_over", harness.ShowCode(other, a.Code(1)))
		}
		h.Expect(400, "required", harness.ShowCode("", a.Code(1)))
		h.Expect(400, "one_way", harness.Post("/v1/login/factor", harness.Body{"pending_token": token}))
		h.Expect(400, "one_way", harness.Post("/v1/login/factor", harness.Body{"pending_token": token, "code": "1", "recovery_code": "2"}))
		// Another account's code, and another's recovery code.
		b := h.AddApp(clock, "eve@example.org")
		a.Next()
		h.Expect(401, "invalid_code", harness.ShowCode(token, b.Code(0)))
		h.Expect(401, "invalid_recovery_code", harness.ShowRecovery(token, b.Recovery[0]))
		h.Expect(200, "", harness.ShowCode(token, a.Code(0)))
		h.Expect(401, "sign_in_over", harness.ShowCode(token, a.Code(1)))
	})
}

// changing is the change of a password.
func changing(from, to, access string) harness.Request {
	return harness.Post("/v1/password/change", harness.Body{"current_password": from, "new_password": to}, access)
}

// Whoever changes the password or a factor ends every sign-in that waits.
func TestAPendingSignInEndsWithWhatItHasShown(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		a := h.AddApp(clock, "ada@example.org")
		access := a.SignIn().Str("access_token")
		first := a.Pending()
		h.Expect(204, "", changing(harness.Passphrase, harness.AnotherPassphrase, access))
		h.Expect(401, "sign_in_over", harness.ShowCode(first, a.Code(1)))
		h.Expect(204, "", changing(harness.AnotherPassphrase, harness.Passphrase, access))
		second := a.Pending()
		h.Expect(200, "", harness.Post("/v1/factors/recovery-codes", nil, access))
		h.Expect(401, "sign_in_over", harness.ShowCode(second, a.Code(1)))
		third := a.Pending()
		clock.Shift(11 * time.Minute)
		h.Expect(401, "sign_in_over", harness.ShowCode(third, a.Code(0)))
		// Ten may wait from a network; the eleventh is refused, and pushes none out.
		for range 7 {
			a.Pending()
		}
		h.Expect(429, "rate_limited", harness.SignInAs(a.Email, harness.Passphrase))
		if n := h.Count(`SELECT COUNT(*) FROM session WHERE ended_at IS NULL`); n != 1 {
			h.Errorf("%d sessions: a sign-in that waits evicts none and is none", n)
		}
	})
}

// Resetting the password by mail keeps every factor, and signs nobody in (ASVS 6.4.3).
func TestASVS_V6_4_3_AResetKeepsTheFactor(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		a := h.AddApp(clock, "ada@example.org")
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": a.Email}))
		h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{
			"token": harness.TokenOf(h.T, h.Mailbox().Last(a.Email, notice.ResetPassword).Link), "new_password": harness.AnotherPassphrase,
		}))
		waits := h.Expect(403, "second_factor_required", harness.SignInAs(a.Email, harness.AnotherPassphrase))
		a.Next()
		h.Expect(200, "", harness.ShowCode(waits.Str("pending_token"), a.Code(0)))
	})
}

// With cookies the token of the pending sign-in is one, and the browser becomes known by the whole sign-in alone.
func TestTheSecondStepWithCookies(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		a := h.AddApp(clock, "ada@example.org")
		b := h.Browser()
		waits := b.Send(harness.CookieSignIn(a.Email, harness.Passphrase))
		knows := strings.Contains(fmt.Sprint(waits.Header), "gatehouse_dc_")
		if waits.Status != 403 || waits.Str("pending_token") != "" || b.Cookie("gatehouse_pt") == "" || knows {
			h.Errorf("the password's step: %d %s %v", waits.Status, waits.Text, waits.Header)
		}
		for _, attribute := range []string{"HttpOnly", "SameSite=Strict", "Max-Age=600"} {
			if set := waits.Header.Get("Set-Cookie"); !strings.Contains(set, attribute) {
				h.Errorf("the cookie has no %s: %s", attribute, set)
			}
		}
		a.Next()
		foreign := harness.Post("/v1/login/factor", map[string]any{"code": a.Code(0), "cookies": true})
		foreign.Header = http.Header{"Sec-Fetch-Site": {"cross-site"}}
		if got := b.Send(foreign); got.Status != 403 || got.Str("code") != "cross_origin" {
			h.Errorf("from another site: %d %s", got.Status, got.Text)
		}
		got := b.Send(harness.Post("/v1/login/factor", map[string]any{"code": a.Code(0), "cookies": true}))
		if got.Status != 200 || got.Str("csrf_token") == "" || b.Cookie("gatehouse_pt") != "" || !strings.Contains(fmt.Sprint(got.Header), "gatehouse_dc_") {
			h.Errorf("the second step: %d %s %v", got.Status, got.Text, got.Header)
		}
		if me := b.Send(harness.Get("/v1/me")); me.Status != 200 {
			h.Errorf("me: %d", me.Status)
		}
	})
}

// On the pages the second step is a page of its own; pressed twice it leads on, and its link goes nowhere else.
func TestThePageOfTheSecondStep(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		a := h.AddApp(clock, "ada@example.org")
		b := h.Browser()
		b.Page(200, "No sign-in is waiting", harness.Get("/login/second"))
		b.Page(200, "Code from your app", harness.Press("/login", harness.Body{"email": a.Email, "password": harness.Passphrase}))
		b.Page(401, "not the code", harness.Press("/login/second", harness.Body{"code": a.WrongCode()}))
		b.Page(200, "Recovery code", harness.Get("/login/second?with=recovery_code"))
		b.Page(401, "not a recovery code", harness.Press("/login/second", harness.Body{"recovery_code": "x"}))
		token := b.Cookie("gatehouse_pt")
		a.Next()
		if got := b.Send(harness.Press("/login/second", harness.Body{"code": a.Code(0)})); got.Status != 303 || got.Header.Get("Location") != "/account" {
			h.Fatalf("the code: %d %s", got.Status, got.Text)
		}
		b.Jar.SetCookies(b.Origin(), []*http.Cookie{{Name: "gatehouse_pt", Value: token, Path: "/"}})
		if got := b.Send(harness.Press("/login/second", harness.Body{"code": a.Code(0)})); got.Status != 303 || got.Header.Get("Location") != "/account" {
			h.Errorf("the second press: %d %s", got.Status, got.Text)
		}
	})
}
