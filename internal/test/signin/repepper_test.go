package signin_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// PW-2: a change of the pepper seals the hash too that an undo of a change of address
// asks the password of: the way back outlives the old pepper.
func TestPW2_AnUndoOutlivesThePepper(t *testing.T) {
	harness.EachReadable(t, func(h *harness.Server) {
		const ada, moved = "ada@example.org", "moved@example.org"
		const pepper, other = "kZ7xw2-HnQ0cVb9LrTd4YmGs6PeJu1oFa8iXqB3tNyR", "Vq3-8rTzLk0WnYb5HsXe7JcUoPmD2gAf1iNtR9yQwKE"
		first := harness.Open(h.T, h.DBURL, "PASSWORD_PEPPER="+pepper)
		first.Register(ada)
		box := first.Mailbox()
		access := first.Login(ada).Str("access_token")
		first.Expect(202, "", harness.Post("/v1/email/change", harness.Body{"email": moved, "current_password": harness.Passphrase}, access))
		first.Expect(204, "", harness.Post("/v1/email/verify", harness.Body{"token": harness.TokenOf(h, box.Last(moved, notice.ConfirmAddress).Link)}, access))
		first.Expect(204, "", harness.Post("/v1/password/change", harness.Body{"current_password": harness.Passphrase, "new_password": harness.AnotherPassphrase},
			access))

		o, next := h.Operator(), password.NewPepper(other, pepper)
		for _, c := range []struct {
			look bool
			want int
		}{{true, 2}, {false, 2}, {false, 0}} {
			if n, err := o.Repepper(h.Context(), next, c.look, harness.OriginOfTests, func(int) {}); err != nil || n != c.want {
				h.Fatalf("%+v: %d, %v", c, n, err)
			}
		}
		second := harness.Open(h.T, h.DBURL, "PASSWORD_PEPPER="+other)
		second.Expect(200, "", harness.SignInAs(moved, harness.AnotherPassphrase))
		b := second.Browser()
		undo := harness.TokenOf(h, box.Last(ada, notice.AddressChanged).Undo)
		b.Page(403, "not a password", harness.Press("/undo", harness.Body{"token": undo, "password": harness.AnotherPassphrase + "!"}))
		b.Page(200, "old address again", harness.Press("/undo", harness.Body{"token": undo, "password": harness.Passphrase}))
	})
}
