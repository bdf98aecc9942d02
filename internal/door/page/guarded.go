package page

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/openid"
)

// Guarded is what browsers see of us on the hosts of guarded applications: two redirects, on the way to our sign-in page and back.
type Guarded struct {
	Guard   *openid.Guard
	Cookies *web.Cookies
	// On is whether people can sign in to applications here.
	On bool
}

// Routes are its addresses, which the application's proxy hands on to us.
func (p *Guarded) Routes() web.Routes {
	return web.Routes{
		"GET /.gatehouse/begin":   p.begin,
		"GET " + client.EnterPath: p.enter,
	}
}

// begin leads to the sign-in.
func (p *Guarded) begin(w http.ResponseWriter, r *http.Request) error {
	if !p.On {
		return errProviderOff
	}
	asked, err := flow.ParseAsked(web.Parameter(r, "acr"), web.Parameter(r, "max_age"))
	if err != nil {
		return err
	}
	origin := web.ForwardedOrigin(r)
	b, err := p.Guard.Begin(r.Context(), origin, web.Parameter(r, "to"), asked)
	if err != nil {
		return err
	}
	p.Cookies.At(origin).PutEntering(w, r, b.State, b.Cookie, openid.GuardLife)
	return seeOther(w, b.Location)
}

// enter takes what the browser comes back with, and leads to the page that was asked for.
func (p *Guarded) enter(w http.ResponseWriter, r *http.Request) error {
	if !web.Navigates(r) {
		return errNoPage
	}
	origin := web.ForwardedOrigin(r)
	cookies := p.Cookies.At(origin)
	a := openid.Answer{
		Code: web.Parameter(r, "code"), State: web.Parameter(r, "state"), Issuer: web.Parameter(r, "iss"), Error: web.Parameter(r, "error"),
	}
	in, err := p.Guard.Enter(r.Context(), origin, a, cookies.Entering(r, a.State), web.Origin(r))
	if err != nil {
		return err
	}
	cookies.EndEntering(w, a.State)
	cookies.PutEntered(w, in.Cookie, in.Life)
	return seeOther(w, in.To)
}
