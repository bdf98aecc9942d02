package page

import (
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
)

// deviceView is a place where the account is signed in.
type deviceView struct {
	ID, Device, Icon, Network string
	Used                      ui.Markup
	Current                   bool
}

// devicesView is what the section shows.
type devicesView struct {
	List []deviceView
	// Others: there are some besides this one.
	Others bool
}

// DevicesSection has the sessions.
func (p *Account) DevicesSection() Section {
	return Section{
		ID: "devices", Icon: "laptop", Title: "devices.title",
		Load: func(r *http.Request, s Signed) (any, error) {
			list, err := p.Profile.Sessions(r.Context(), s.Identity)
			if err != nil {
				return nil, err
			}
			v := devicesView{Others: len(list) > 1}
			for _, one := range list {
				name := session.DeviceName(one.UserAgent)
				v.List = append(v.List, deviceView{
					ID: one.ID, Device: device(s, name), Icon: deviceIcon(name), Network: one.Address, Used: s.View.Time(one.UsedAt), Current: one.ID == s.Session,
				})
			}
			return v, nil
		},
		Actions: map[string]Action{
			"session-end":  {[]string{"session"}, p.endSession},
			"sessions-end": {nil, p.endOthers},
		},
	}
}

// device is a device's name in the person's language.
func device(s Signed, name string) string {
	browser, system, both := strings.Cut(name, " on ")
	switch {
	case name == "":
		return s.View.T("devices.unknown")
	case both:
		return s.View.T("devices.name", "browser", browser, "system", system)
	}
	return name
}

func deviceIcon(name string) string {
	switch {
	case strings.Contains(name, "iPhone"), strings.Contains(name, "Android"), strings.Contains(name, "iPad"):
		return "phone"
	case strings.Contains(name, "program"), strings.Contains(name, "curl"), strings.Contains(name, "Wget"):
		return "term"
	}
	return "laptop"
}

// endSession ends another session of the account (ASVS 10.4.9). One that has ended
// already is what the person wanted.
func (p *Account) endSession(w http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (string, error) {
	if err := p.SignOut.One(r.Context(), s.Identity, in["session"], web.Origin(r)); err != nil && fault.KindOf(err) != fault.NotFound {
		return "", err
	}
	if in["session"] == s.Session {
		p.Cookies.Clear(w)
		return "", seeOther(w, "/login")
	}
	return stepSignedOut, nil
}

// endOthers ends all other sessions of the account.
func (p *Account) endOthers(_ http.ResponseWriter, r *http.Request, s Signed, _ map[string]string) (string, error) {
	return stepAlone, p.SignOut.All(r.Context(), s.Identity, true, web.Origin(r))
}
