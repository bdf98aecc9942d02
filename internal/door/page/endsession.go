package page

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/openid"
)

// leaving are the parameters of an application that signs somebody out.
var leaving = []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state"}

func leavingOf(in map[string]string) openid.Leaving {
	return openid.Leaving{Hint: in["id_token_hint"], Client: in["client_id"], Redirect: in["post_logout_redirect_uri"], State: in["state"]}
}

// endPage asks whether to sign out, or says that nobody is signed in any more.
type endPage struct {
	Title  string
	Fields []formField
	Out    bool
}

// end signs out of all applications whoever an application signs out. It asks first, unless the application shows that it means
// this very session: else any link could sign people out (ASVS V10.6.2).
func (p *Authorize) end(w http.ResponseWriter, r *http.Request) error {
	if !p.On {
		return errProviderOff
	}
	in, err := parameters(w, r, leaving)
	if err != nil {
		return err
	}
	if r.Method == http.MethodPost { // from another site it has no cookies; our own address gets them
		query := url.Values{}
		for name, value := range in {
			query.Set(name, value)
		}
		to := endPath + "?" + query.Encode()
		w.Header().Set("Refresh", "0; url="+to)
		return p.show(w, http.StatusOK, p.view(r), "bounce", to)
	}
	who, bounced, err := p.arrives(w, r)
	if bounced || err != nil {
		return err
	}
	farewell, err := p.EndSession.Look(r.Context(), leavingOf(in), who.Session)
	if err != nil {
		return err
	}
	if who.Session == "" || farewell.Mine {
		return p.leaveFor(w, r, farewell)
	}
	v := p.view(r)
	v.CSRF = p.Cookies.CSRF(who.Session)
	v.FormTo = client.Origin(farewell.To)
	shown := endPage{Title: farewell.Title}
	for _, name := range leaving {
		if in[name] != "" {
			shown.Fields = append(shown.Fields, formField{name, in[name]})
		}
	}
	return p.show(w, http.StatusOK, v, "end-session", shown)
}

// leave signs out whoever said so on our page.
func (p *Authorize) leave(w http.ResponseWriter, r *http.Request) error {
	in, err := p.form(w, r, append([]string{"csrf_token"}, leaving...)...)
	if err != nil {
		return err
	}
	if token := p.Cookies.Refresh(r); token != "" {
		if err := p.Cookies.CheckCSRF(r, p.SignOut.SessionOf(token), in["csrf_token"]); err != nil {
			return err
		}
	}
	farewell, err := p.EndSession.Look(r.Context(), leavingOf(in), "")
	if err != nil {
		return err
	}
	return p.leaveFor(w, r, farewell)
}

// leaveFor ends the browser's session, if it has one, and goes where the application said, or says that it is done.
func (p *Authorize) leaveFor(w http.ResponseWriter, r *http.Request, farewell openid.Farewell) error {
	if token := p.Cookies.Refresh(r); token != "" {
		err := p.SignOut.ByRefresh(r.Context(), token, web.Origin(r))
		if err != nil && !errors.Is(err, flow.ErrInvalidRefresh) {
			return err
		}
		p.Cookies.Clear(w)
	}
	if farewell.To != "" {
		return seeOther(w, farewell.To)
	}
	return p.show(w, http.StatusOK, p.view(r), "end-session", endPage{Out: true})
}
