package passkeys

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

func adding(k *harness.Passkey, token string, with harness.Body) harness.Request {
	made := k.Create(harness.Post("/v1/factors/passkeys/options", harness.Body{"pending_token": token}))
	return harness.Post("/v1/factors/passkeys", with.With("pending_token", token).Object("credential", made))
}

// A role that asks for a passkey: nothing else signs in, and a phished code adds no passkey where there is one.
func TestASVS_V6_3_3_ARoleThatMustHaveAPasskey(t *testing.T) {
	each(t, func(h *harness.Server, clock *harness.Clock) {
		h.Register(ada)
		a := h.AppFor(clock, ada)
		if _, err := h.Operator().SetRoles(h.Context(), ada, []string{"admin"}, harness.OriginOfTests); err != nil {
			h.Fatal(err)
		}
		h.Expect(401, "second_factor_required", harness.Refreshing(a.Refresh)) // two factors, and no passkey
		// While there is none, a code leads to adding one, once.
		a.Next()
		token, code := a.Pending(), a.Code(0)
		waits := h.Expect(403, "second_factor_enrolment_required", harness.ShowCode(token, code))
		if waits.Str("pending_token") != token {
			h.Errorf("it goes on with another token: %s", waits.Text)
		}
		h.Expect(401, "sign_in_over", harness.ShowCode(token, a.Code(1)))
		h.Expect(401, "code_used", harness.ShowCode(a.Pending(), code))
		h.Expect(403, "passkey_required", harness.Post("/v1/factors/totp", harness.Body{"pending_token": token}))
		k := h.NewPasskey(ada)
		in := h.Expect(200, "", adding(k, token, harness.Body{}))
		amr, acr := claims(h, in.Str("access_token"))
		if diff := cmp.Diff([]string{"pwd", "otp", "pop", "mfa"}, amr); diff != "" || acr != "phr" || in.Fields["recovery_codes"] != nil {
			h.Errorf("acr %s, %s\n%s", acr, in.Text, diff)
		}
		h.Expect(200, "", harness.Refreshing(in.Str("refresh_token")))
		h.Expect(401, "sign_in_over", harness.Post("/v1/factors/passkeys/options", harness.Body{"pending_token": token}))
		// From then on a code opens nothing.
		step := h.Expect(403, "second_factor_required", harness.SignInAs(ada, harness.Passphrase))
		if diff := cmp.Diff([]any{"passkey", "recovery_code"}, step.Fields["factors"]); diff != "" {
			h.Errorf("the ways:\n%s", diff)
		}
		a.Next()
		h.Expect(403, "passkey_required", harness.ShowCode(step.Str("pending_token"), a.Code(0)))
		h.Expect(200, "", k.Behind(step.Str("pending_token")))
		// A recovery code always leads to adding one, and asks for no mailed code.
		token = a.Pending()
		h.Expect(403, "second_factor_enrolment_required", harness.ShowRecovery(token, a.Recovery[0]))
		h.Expect(401, "invalid_recovery_code", harness.ShowRecovery(a.Pending(), a.Recovery[0]))
		second := h.NewPasskey(ada)
		in = h.Expect(200, "", adding(second, token, harness.Body{}))
		if amr, _ = claims(h, in.Str("access_token")); !cmp.Equal(amr, []string{"pwd", "recovery", "pop", "mfa"}) {
			h.Errorf("amr %v", amr)
		}
		// The last one stays; the app goes.
		access := in.Str("access_token")
		list := h.Expect(200, "", harness.Get("/v1/factors", access)).Fields["passkeys"].([]any)
		h.Expect(204, "", deletion("/v1/factors/passkeys/"+list[0].(map[string]any)["id"].(string), access))
		h.Expect(409, "last_factor", deletion("/v1/factors/passkeys/"+list[1].(map[string]any)["id"].(string), access))
		h.Expect(204, "", deletion("/v1/factors/totp", access))
	}, "SECOND_FACTOR=admin:passkey")
}

// Who has no factor adds a passkey with the mailed code, and no app in its place.
func TestAFirstPasskeyByRole(t *testing.T) {
	each(t, func(h *harness.Server, _ *harness.Clock) {
		h.Register(ada)
		token := h.Expect(403, "second_factor_enrolment_required", harness.SignInAs(ada, harness.Passphrase)).Str("pending_token")
		h.Expect(403, "passkey_required", harness.Post("/v1/factors/totp", harness.Body{"pending_token": token}))
		k := h.NewPasskey(ada)
		h.Expect(400, "required", adding(k, token, harness.Body{}))
		mailed := h.MailFactorCode(ada, harness.Post("/v1/factors/mail-code", harness.Body{"pending_token": token}))
		in := h.Expect(200, "", adding(k, token, mailed))
		if amr, _ := claims(h, in.Str("access_token")); !cmp.Equal(amr, []string{"pwd", "pop", "mfa"}) || len(in.Fields["recovery_codes"].([]any)) != 10 {
			h.Error(in.Text)
		}
		h.Expect(200, "", k.Alone())
	}, "SECOND_FACTOR=*:passkey")
}
