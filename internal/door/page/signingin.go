package page

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// signingInView is what the section shows.
type signingInView struct {
	Email    string
	Rules    []ui.Rule
	Password flow.PasswordState
}

// SigningInSection has the password.
func (p *Account) SigningInSection(passwords *flow.Passwords, factors *flow.Factors) Section {
	return Section{
		ID: "signing-in", Icon: "key", Title: "signing-in.title",
		Load: func(r *http.Request, s Signed) (any, error) {
			state, err := factors.Password(r.Context(), s.Identity)
			return signingInView{Email: s.Account.Email, Rules: p.rules(s.View.L), Password: state}, err
		},
		Actions: map[string]Action{
			"password": {
				[]string{"current_password", "new_password"},
				func(_ http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (string, error) {
					return stepPassword, passwords.Change(r.Context(), s.Identity, in["current_password"], in["new_password"], p.browser(r), web.Origin(r))
				},
			},
			"password-remove": {nil, func(_ http.ResponseWriter, r *http.Request, s Signed, _ map[string]string) (string, error) {
				return stepNone, factors.RemovePassword(r.Context(), s.Identity, web.Origin(r))
			}},
		},
	}
}
