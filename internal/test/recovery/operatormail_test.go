package recovery_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// MAIL-4: an account's owner is notified of what an operator does to it, with a "this
// wasn't me" that works; and an operator's reset lets nobody in before the owner has
// set a new password.
func TestMAIL4_WhatOperatorsDoIsTold(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		const ada = "ada@example.org"
		h.Register(ada)
		box, o, b := h.Mailbox(), h.Operator(), h.Browser()
		b.SignIn(ada)
		must := func(err error) {
			h.Helper()
			if err != nil {
				h.Fatal(err)
			}
		}
		_, err := o.Disable(h.Context(), ada, harness.OriginOfTests)
		must(err)
		_, err = o.Disable(h.Context(), ada, harness.OriginOfTests)
		must(err)
		must(o.Enable(h.Context(), ada, harness.OriginOfTests))
		must(o.Enable(h.Context(), ada, harness.OriginOfTests))
		_, err = o.SetRoles(h.Context(), ada, []string{"editor"}, harness.OriginOfTests)
		must(err)
		mailed := map[notice.Kind]int{}
		for _, m := range box.All(ada) {
			if mailed[m.Kind]++; m.Kind == notice.VerifyAddress {
				continue
			}
			if !m.ByOperator || m.NotMe == "" || m.Address.IsValid() || m.UserAgent != "" {
				h.Errorf("%+v", m)
			}
		}
		if mailed[notice.AccountDisabled] != 1 || mailed[notice.AccountEnabled] != 1 || mailed[notice.RolesChanged] != 1 {
			h.Errorf("%v", mailed)
		}

		access := h.Login(ada).Str("access_token")
		h.Expect(202, "", harness.Post("/v1/password/forgot", harness.Body{"email": ada}))
		before := box.Last(ada, notice.ResetPassword)
		if _, ended, err := o.ResetUser(h.Context(), "Ada@example.org", harness.OriginOfTests); err != nil || ended != 1 {
			h.Errorf("%d sessions ended, %v", ended, err)
		}
		h.Eventually("the access token ends", func() (string, bool) {
			a := h.Do(harness.Get("/v1/me", access))
			return a.Text, a.Status == 401
		})
		h.Expect(403, "password_reset_required", harness.SignInAs(ada, harness.Passphrase))
		h.Expect(400, "invalid_link", harness.Post("/v1/password/reset",
			harness.Body{"token": harness.TokenOf(h, before.Link), "new_password": harness.AnotherPassphrase}))
		m := box.Last(ada, notice.AdminReset)
		h.Expect(400, "password_unchanged", harness.Post("/v1/password/reset", harness.Body{"token": harness.TokenOf(h, m.Link), "new_password": harness.Passphrase}))
		if m.Code != "" {
			h.Error("nobody asked for this mail in a browser, and it has a code")
		}
		h.Expect(204, "", harness.Post("/v1/password/reset", harness.Body{"token": harness.TokenOf(h, m.Link), "new_password": harness.AnotherPassphrase}))
		h.Expect(200, "", harness.SignInAs(ada, harness.AnotherPassphrase))

		_, err = o.SetRoles(h.Context(), ada, nil, harness.OriginOfTests)
		must(err)
		b.Page(200, "All sessions have ended", harness.Press("/not-me", harness.Body{"token": harness.TokenOf(h, box.Last(ada, notice.RolesChanged).NotMe)}))
		h.Expect(403, "password_reset_required", harness.SignInAs(ada, harness.AnotherPassphrase))
	})
}
