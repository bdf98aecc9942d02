package page

import (
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/locale"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// profileView is what the section shows.
type profileView struct {
	Name, Email, Language string
	Confirmed             time.Time // zero: not yet
	Languages             []ui.Option
	// Typed and NewEmail are what was typed for a name and a new address.
	Typed, NewEmail string
	// Bare: there is no password to ask for.
	Bare bool
}

// ProfileSection has the name, the address and the language.
func (p *Account) ProfileSection(addresses *flow.Addresses, factors *flow.Factors) Section {
	return Section{
		ID: "profile", Icon: "user", Title: "profile.title",
		Load: func(r *http.Request, s Signed) (any, error) {
			state, err := factors.Password(r.Context(), s.Identity)
			if err != nil {
				return nil, err
			}
			v := profileView{Typed: s.Account.Name, Name: s.Account.Name, Email: s.Account.Email, Confirmed: s.Account.VerifiedAt, Bare: !state.Has}
			mine := locale.Match(s.Account.Locale, s.View.L.Tag)
			v.Language = mine.Name
			for _, l := range locale.All() {
				v.Languages = append(v.Languages, ui.Option{Value: l.Tag, Text: l.Name, Lang: l.Tag, Selected: l == mine})
			}
			if s.View.Opens("name") {
				v.Typed = s.Sent["name"]
			}
			if s.View.Opens("address") {
				v.NewEmail = s.Sent["email"]
			}
			return v, nil
		},
		Actions: map[string]Action{
			"name": {[]string{"name"}, func(_ http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (string, error) {
				name := strings.TrimSpace(in["name"])
				_, err := p.Profile.Change(r.Context(), s.Identity, flow.Change{Name: &name}, web.Origin(r))
				return stepSaved, err
			}},
			"address": {[]string{"email", "current_password"}, func(w http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (string, error) {
				email := strings.TrimSpace(in["email"])
				request, err := addresses.Change(r.Context(), s.Identity, email, in["current_password"], p.browser(r), web.Origin(r))
				return stepMoving, p.asked(w, r, request, err)
			}},
			"language": {[]string{"locale"}, func(w http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (string, error) {
				l := locale.Named(in["locale"])
				if l == nil {
					return "", errForm
				}
				if _, err := p.Profile.Change(r.Context(), s.Identity, flow.Change{Locale: &l.Tag}, web.Origin(r)); err != nil {
					return "", err
				}
				s.View.KeepLanguage(w, l)
				return stepSaved, nil
			}},
		},
	}
}
