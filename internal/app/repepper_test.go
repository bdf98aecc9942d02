package app_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
)

// PW-2: a change of the pepper seals the hash too that an undo of a change of address
// asks the password of: the way back outlives the old pepper.
func TestPW2_AnUndoOutlivesThePepper(t *testing.T) {
	eachReadable(t, func(h *house) {
		const ada, moved = "ada@example.org", "moved@example.org"
		const pepper, other = "kZ7xw2-HnQ0cVb9LrTd4YmGs6PeJu1oFa8iXqB3tNyR", "Vq3-8rTzLk0WnYb5HsXe7JcUoPmD2gAf1iNtR9yQwKE"
		first := open(h.T, h.dbURL, "PASSWORD_PEPPER="+pepper)
		first.register(ada)
		box := first.mailbox()
		access := first.login(ada).str("access_token")
		first.expect(202, "", post("/v1/email/change", body{"email": moved, "current_password": passphrase}, access))
		first.expect(204, "", post("/v1/email/verify", body{"token": tokenOf(h, box.last(moved, notice.ConfirmAddress).Link)}, access))
		first.expect(204, "", post("/v1/password/change", body{"current_password": passphrase, "new_password": another}, access))

		o, next := h.operator(), password.NewPepper(other, pepper)
		for _, c := range []struct {
			look bool
			want int
		}{{true, 2}, {false, 2}, {false, 0}} {
			if n, err := o.Repepper(h.Context(), next, c.look, originOfTests, func(int) {}); err != nil || n != c.want {
				h.Fatalf("%+v: %d, %v", c, n, err)
			}
		}
		second := open(h.T, h.dbURL, "PASSWORD_PEPPER="+other)
		second.expect(200, "", signInAs(moved, another))
		b := second.browser()
		undo := tokenOf(h, box.last(ada, notice.AddressChanged).Undo)
		b.page(403, "not a password", press("/undo", body{"token": undo, "password": another + "!"}))
		b.page(200, "old address again", press("/undo", body{"token": undo, "password": passphrase}))
	})
}
