package app_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// MAIL-4: what an operator does to an account is told to its owner, with a "this
// wasn't me" that works; and an operator's reset lets nobody in before the owner has
// set a new password.
func TestMAIL4_WhatOperatorsDoIsTold(t *testing.T) {
	each(t, func(h *house) {
		const ada = "ada@example.org"
		h.register(ada)
		box, o, b := h.mailbox(), h.operator(), h.browser()
		b.signIn(ada)
		must := func(err error) {
			h.Helper()
			if err != nil {
				h.Fatal(err)
			}
		}
		_, err := o.Disable(h.Context(), ada, originOfTests)
		must(err)
		_, err = o.Disable(h.Context(), ada, originOfTests)
		must(err)
		must(o.Enable(h.Context(), ada, originOfTests))
		must(o.Enable(h.Context(), ada, originOfTests))
		_, err = o.SetRoles(h.Context(), ada, []string{"editor"}, originOfTests)
		must(err)
		told := map[notice.Kind]int{}
		for _, m := range box.all(ada) {
			if told[m.Kind]++; m.Kind == notice.VerifyAddress {
				continue
			}
			if !m.ByOperator || m.NotMe == "" || m.Address.IsValid() || m.UserAgent != "" {
				h.Errorf("%+v", m)
			}
		}
		if told[notice.AccountDisabled] != 1 || told[notice.AccountEnabled] != 1 || told[notice.RolesChanged] != 1 {
			h.Errorf("%v", told)
		}

		access := h.login(ada).str("access_token")
		h.expect(202, "", post("/v1/password/forgot", body{"email": ada}))
		before := box.last(ada, notice.ResetPassword)
		if _, ended, err := o.ResetUser(h.Context(), "Ada@example.org", originOfTests); err != nil || ended != 1 {
			h.Errorf("%d sessions ended, %v", ended, err)
		}
		h.eventually("the access token ends", func() (string, bool) {
			a := h.do(request{method: "GET", path: "/v1/me", bearer: access})
			return a.text, a.status == 401
		})
		h.expect(403, "password_reset_required", signInAs(ada, passphrase))
		h.expect(400, "invalid_link", post("/v1/password/reset", body{"token": tokenOf(h, before.Link), "new_password": another}))
		m := box.last(ada, notice.AdminReset)
		h.expect(400, "password_unchanged", post("/v1/password/reset", body{"token": tokenOf(h, m.Link), "new_password": passphrase}))
		h.expect(204, "", post("/v1/password/reset", body{"email": ada, "code": m.Code, "new_password": another}))
		h.expect(200, "", signInAs(ada, another))

		_, err = o.SetRoles(h.Context(), ada, nil, originOfTests)
		must(err)
		b.page(200, "All sessions have ended", press("/not-me", body{"token": tokenOf(h, box.last(ada, notice.RolesChanged).NotMe)}))
		h.expect(403, "password_reset_required", signInAs(ada, another))
	})
}
