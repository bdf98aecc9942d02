package page

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// identitiesView is what the section shows.
type identitiesView struct {
	List []identityView
	// More are the providers that can be linked.
	More []providerButton
}

// identityView is what an account is linked to.
type identityView struct {
	Handle, Name, Email string
	Linked, Used        ui.Markup
}

// IdentitiesSection has the other providers by which a person signs in. It is left out where there are none.
func (p *Account) IdentitiesSection(u *Upstream) Section {
	return Section{
		ID: "identities", Icon: "net", Title: "identities.title",
		Load: func(r *http.Request, s Signed) (any, error) {
			list, err := u.Providers.Identities(r.Context(), s.Identity)
			if err != nil || len(list) == 0 && len(p.Buttons) == 0 {
				return nil, err
			}
			var out identitiesView
			has := map[string]bool{}
			for _, i := range list {
				has[i.Provider] = true
				out.List = append(out.List, identityView{
					Handle: i.Handle(), Name: i.Name, Email: i.Email, Linked: s.View.Time(i.LinkedAt), Used: s.View.Time(i.UsedAt),
				})
			}
			for _, b := range p.Buttons {
				if !has[b.ID] {
					out.More = append(out.More, b)
				}
			}
			return out, nil
		},
		Actions: map[string]Action{
			"identity-link": {[]string{"provider"}, func(w http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (string, error) {
				d, err := u.Providers.Begin(r.Context(), flow.Departing{Provider: in["provider"], To: home, Link: &s.Identity})
				if err != nil {
					return "", err
				}
				return "", u.depart(w, r, d)
			}},
			"identity-unlink": {[]string{"identity"}, func(_ http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (string, error) {
				return stepUnlinked, u.Providers.Unlink(r.Context(), s.Identity, in["identity"], web.Origin(r))
			}},
		},
	}
}
