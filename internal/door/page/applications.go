package page

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow/openid"
)

// applicationsView is what the section shows.
type applicationsView struct{ List []applicationView }

// applicationView is an application that a person signs in to.
type applicationView struct {
	ID, Title              string
	Since, Used, Consented ui.Markup // empty for never
	Offline                bool
	// At is where it does something for the person.
	At []client.Resource
}

// ApplicationsSection has the applications that a person signs in to with their account.
func (p *Account) ApplicationsSection(applications *openid.Applications) Section {
	return Section{
		ID: "applications", Icon: "app", Title: "apps.title",
		Load: func(r *http.Request, s Signed) (any, error) {
			list, err := applications.List(r.Context(), s.Identity)
			if err != nil || len(list) == 0 {
				return nil, err
			}
			var out applicationsView
			for _, a := range list {
				one := applicationView{ID: a.Client, Title: a.Title, Offline: a.Offline, At: a.At}
				if a.Grants > 0 {
					one.Since, one.Used = s.View.Time(a.Since), s.View.Time(a.UsedAt)
				} else {
					one.Consented = s.View.Time(a.ConsentedAt)
				}
				out.List = append(out.List, one)
			}
			return out, nil
		},
		Actions: map[string]Action{
			"application-remove": {[]string{"application"}, func(_ http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (string, error) {
				return stepAppGone, applications.Withdraw(r.Context(), s.Identity, in["application"], web.Origin(r))
			}},
		},
	}
}
