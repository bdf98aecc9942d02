package consents

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

var (
	firstTerms  = map[string]int64{"terms": 1}
	secondTerms = map[string]int64{"terms": 2}
)

// withApp registers somebody who has agreed, and has an app.
func withApp(h *harness.Server, clock *harness.Clock, email string) (a *harness.App, codes []any) {
	h.Helper()
	h.Register(email)
	access := h.Expect(200, "", agreeing(waits(h, email), firstTerms)).Str("access_token")
	a = &harness.App{Server: h, Email: email, Clock: clock}
	confirm := h.MailFactorCode(email, harness.Post("/v1/factors/mail-code", nil, access))
	a.Secret = h.Expect(200, "", harness.Post("/v1/factors/totp", nil, access)).Str("secret")
	done := h.Expect(200, "", harness.Post("/v1/factors/totp/confirm", confirm.With("code", a.Code(0)), access))
	return a, done.Fields["recovery_codes"].([]any)
}

// The second step ends with the agreement as the password alone does: what was shown is spent, and not asked for again.
func TestGDPR2_TheSecondStepAsks(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		a, codes := withApp(h, clock, ada)
		publish(h, "terms", "The second terms.")
		a.Next()
		step := a.Pending()
		shown := h.Expect(403, "agreement_required", harness.ShowCode(step, a.Code(0)))
		h.Expect(401, "sign_in_over", harness.ShowCode(step, a.Code(0)))
		byCode := h.Expect(403, "agreement_required", harness.ShowRecovery(a.Pending(), codes[0].(string)))
		h.Expect(401, "invalid_recovery_code", harness.ShowRecovery(a.Pending(), codes[0].(string)))
		signedIn := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'successful_login'`)
		h.Expect(200, "", agreeing(shown.Str("pending_token"), secondTerms))
		// The other tab was asked before this one agreed: nothing is left to agree to, and it goes on.
		h.Expect(200, "", agreeing(byCode.Str("pending_token"), map[string]int64{}))
		if n := h.Count(`SELECT COUNT(*) FROM event WHERE kind = 'successful_login'`) - signedIn; n != 2 {
			h.Errorf("%d sign-ins", n)
		}
	})
}

// Who must have a factor adds it first, and gets the recovery codes with the agreement that is asked for next.
func TestGDPR2_TheEnrolmentAsks(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		token := h.Expect(403, "second_factor_enrolment_required", harness.SignInAs(ada, harness.Passphrase)).Str("pending_token")
		h.Expect(401, "sign_in_over", agreeing(token, firstTerms)) // it can't be left out
		a := &harness.App{Server: h, Email: ada, Clock: clock}
		confirm := h.MailFactorCode(ada, harness.Post("/v1/factors/mail-code", harness.Body{"pending_token": token})).With("pending_token", token)
		a.Secret = h.Expect(200, "", harness.Post("/v1/factors/totp", harness.Body{"pending_token": token})).Str("secret")
		asked := h.Expect(403, "agreement_required", harness.Post("/v1/factors/totp/confirm", confirm.With("code", a.Code(0))))
		if codes, _ := asked.Fields["recovery_codes"].([]any); len(codes) != 10 {
			h.Errorf("the codes: %s", asked.Text)
		}
		in := h.Expect(200, "", agreeing(asked.Str("pending_token"), firstTerms))
		h.Expect(200, "", harness.Get("/v1/me", in.Str("access_token")))
	}, "SECOND_FACTOR=*")
}

// A passkey alone is asked too.
func TestGDPR2_APasskeyAloneAsks(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		h.Expect(200, "", agreeing(waits(h, ada), firstTerms))
		k := h.PasskeyFor(ada)
		publish(h, "terms", "The second terms.")
		asked := h.Expect(403, "agreement_required", k.Alone())
		h.Expect(200, "", agreeing(asked.Str("pending_token"), secondTerms))
		h.Expect(200, "", k.Alone())
	})
}

// A sign-in that waits is its own person's, waits ten minutes, and ends with a change of the password; a new version in
// the middle asks for that one.
func TestGDPR2_WhatBecomesOfASignInThatWaits(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		const bob = "bob@example.org"
		h.Register(ada)
		h.Register(bob)
		hers, his := waits(h, ada), waits(h, bob)
		in := h.Expect(200, "", agreeing(his, firstTerms))
		if me := h.Expect(200, "", harness.Get("/v1/me", in.Str("access_token"))); me.Str("email") != bob {
			h.Errorf("who it is: %s", me.Text)
		}
		publish(h, "terms", "The second terms.")
		changed := h.Expect(409, "document_changed", agreeing(hers, firstTerms))
		if d := changed.Fields["documents"].([]any)[0].(map[string]any); d["version"] != 2.0 {
			h.Errorf("what is asked for now: %s", changed.Text)
		}
		h.Expect(200, "", agreeing(hers, secondTerms))

		publish(h, "terms", "The third terms.")
		third := map[string]int64{"terms": 3}
		late := waits(h, ada)
		h.Expect(204, "", harness.Post("/v1/password/change",
			harness.Body{"current_password": harness.Passphrase, "new_password": "another battery staple"}, in.Str("access_token")))
		his = h.Expect(403, "agreement_required", harness.SignInAs(bob, "another battery staple")).Str("pending_token")
		h.Disable(bob)
		a := h.Do(agreeing(his, third))
		if a.Status == 200 {
			h.Errorf("a disabled account is let in: %s", a.Text)
		}
		clock.Shift(10*time.Minute + time.Second)
		h.Expect(401, "sign_in_over", agreeing(late, third))
		for range 12 {
			waits(h, ada)
		}
		if n := h.Count(`SELECT COUNT(*) FROM pending WHERE want = 'agree' AND tries = 0`); n > 13 {
			h.Errorf("%d sign-ins wait", n)
		}
	})
}
