package page

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/upstream"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Upstream is where people go to other providers to sign in, and come back from them.
type Upstream struct {
	In        *SignIn
	Providers *flow.ProviderSignIn
}

// providerButton leads to a provider.
type providerButton struct{ ID, Name string }

// joinPath is where a sign-in by a provider goes on that no account knows.
const joinPath = "/join"

// Routes are its pages.
func (p *Upstream) Routes() web.Routes {
	return web.Routes{
		"POST /signin/{id}":          p.leave,
		"GET /signin/{id}/callback":  p.callback,
		"POST /signin/{id}/callback": p.callback,
		"GET " + joinPath:            p.join,
		"POST " + joinPath:           p.doJoin,
	}
}

// leave sends somebody to a provider, for a form of ours.
func (p *Upstream) leave(w http.ResponseWriter, r *http.Request) error {
	in, err := p.In.form(w, r, "return_to", "acr", "max_age", "again")
	if err != nil {
		return p.In.refuseLogin(w, r, loginPage{ReturnTo: home}, err)
	}
	to := p.In.Cookies.ReturnTo(in["return_to"], home)
	d, err := p.Providers.Begin(r.Context(), flow.Departing{
		Provider: r.PathValue("id"), To: to, Asked: wish(in["acr"], in["max_age"]), Again: in["again"] != "" || in["max_age"] != "",
	})
	if err != nil {
		return p.In.refuseLogin(w, r, loginPage{ReturnTo: to, ACR: in["acr"], MaxAge: in["max_age"]}, err)
	}
	return p.depart(w, r, d)
}

// depart has the browser keep what it must be back with, and go: by a page, since browsers hold the redirect behind a form to form-action.
func (p *Upstream) depart(w http.ResponseWriter, r *http.Request, d flow.Departure) error {
	p.In.Cookies.PutJourney(w, r, d.State, d.Sealed, flow.JourneyLife)
	w.Header().Set("Refresh", "0; url="+d.Address)
	return p.In.show(w, http.StatusOK, p.In.view(r), "bounce", d.Address)
}

// callback is where a provider sends people back to. From another site a browser brings no strict cookies, so it is asked to come again
// from here, once.
func (p *Upstream) callback(w http.ResponseWriter, r *http.Request) error {
	if !web.Navigates(r) {
		return errNoPage
	}
	in, err := parameters(w, r, []string{"code", "state", "iss", "error", "user", "name", "back"})
	if err != nil {
		return err
	}
	sealed := p.In.Cookies.Journey(r, in["state"])
	if r.Method == http.MethodPost || sealed == "" && in["back"] == "" {
		return p.bounceBack(w, r, in)
	}
	p.In.Cookies.EndJourney(w, in["state"]) // it is good once, whatever comes of it
	returning := flow.Returning{
		Provider: r.PathValue("id"), State: in["state"], Sealed: sealed, Who: p.In.whoMay(r), Browser: p.In.signingIn(r),
		Answer:   upstream.Answer{Code: in["code"], Issuer: in["iss"], Error: in["error"], Name: in["name"]},
		Accepted: r.Header.Get("Accept-Language"),
	}
	back, err := p.Providers.Return(r.Context(), returning, web.Origin(r))
	return p.arrive(w, r, returning, back, err)
}

// mostName is the longest name that is handed on of a form, in bytes.
const mostName = 400

// bounceBack has the browser come again with its cookies.
func (p *Upstream) bounceBack(w http.ResponseWriter, r *http.Request, in map[string]string) error {
	again := url.Values{"back": {"1"}}
	for _, name := range []string{"code", "state", "iss", "error", "name"} {
		if in[name] != "" {
			again.Set(name, in[name])
		}
	}
	if name := appleName(in["user"]); name != "" && len(name) <= mostName {
		again.Set("name", name)
	}
	to := "/signin/" + url.PathEscape(r.PathValue("id")) + "/callback?" + again.Encode()
	w.Header().Set("Refresh", "0; url="+to)
	return p.In.show(w, http.StatusOK, p.In.view(r), "bounce", to)
}

// appleName is the name that Apple sends along with the first sign-in.
func appleName(user string) string {
	var u struct {
		Name struct {
			First string `json:"firstName"`
			Last  string `json:"lastName"`
		} `json:"name"`
	}
	if json.Unmarshal([]byte(user), &u) != nil {
		return ""
	}
	return strings.TrimSpace(u.Name.First + " " + u.Name.Last)
}

// arrive goes on with what became of a sign-in.
func (p *Upstream) arrive(w http.ResponseWriter, r *http.Request, in flow.Returning, back flow.Returned, err error) error {
	to := p.In.Cookies.ReturnTo(back.To, "")
	if to == "" {
		to = p.In.Cookies.ReturnTo(p.In.Cookies.Returning(r), home)
	}
	var waits *flow.Waiting
	switch {
	case errors.As(err, &waits):
		p.In.Cookies.PutUnfinished(w, "", 0)
		return p.In.waits(w, waits, to)
	case err != nil && in.Who.Account != "":
		v := p.In.view(r)
		return p.In.fail(w, v, "bounce", home, p.In.blame(v, r, err), err)
	case err != nil:
		return p.In.refuseLogin(w, r, loginPage{ReturnTo: to}, err)
	case back.Linked:
		return p.In.end(w, stepLinked, "")
	case back.Unfinished != "":
		p.In.Cookies.PutUnfinished(w, back.Unfinished, flow.UnfinishedLife)
		p.In.Cookies.PutRequest(w, r, back.Request, flow.RequestLife)
		return seeOther(w, joinPath)
	}
	p.In.Cookies.PutUnfinished(w, "", 0)
	return p.In.enter(w, r, in.Browser, back.Tokens, to)
}

// joinPage is what the page shows of a sign-in that no account knows.
type joinPage struct {
	Provider string
	// Address is what the provider has; empty for none. Sent is the code that was typed.
	Address, Sent string
	// Email is whose account is signed in, to which it can be linked; empty for nobody.
	Email string
	// Again is where they sign in as usual.
	Again string
}

// join says how it goes on: one page for all.
func (p *Upstream) join(w http.ResponseWriter, r *http.Request) error {
	who, err := p.In.entrance(w, r)
	if errors.Is(err, errBounced) {
		return nil
	}
	if err != nil && fault.KindOf(err) != fault.Unauthenticated {
		return err
	}
	shown, err := p.waiting(r, who)
	if err != nil {
		return seeOther(w, "/login")
	}
	v := p.In.view(r)
	v.CSRF = p.In.Cookies.CSRF(who.Session)
	return p.In.show(w, http.StatusOK, v, "join", shown)
}

func (p *Upstream) waiting(r *http.Request, who flow.Identity) (joinPage, error) {
	u, err := p.Providers.Waiting(p.In.Cookies.Unfinished(r))
	shown := joinPage{Provider: u.Provider, Address: u.Email, Again: "/login?" + url.Values{"return_to": {joinPath}}.Encode()}
	if err == nil && who.Account != "" {
		if a, err := p.In.Profile.Me(r.Context(), who); err == nil {
			shown.Email = a.Email
		}
	}
	return shown, err
}

// doJoin takes the code of the mail, or links to the account that is signed in. Only a form of our own page does either.
func (p *Upstream) doJoin(w http.ResponseWriter, r *http.Request) error {
	in, err := p.In.form(w, r, "code", "do", "csrf_token")
	if err != nil {
		return err
	}
	sealed := p.In.Cookies.Unfinished(r)
	who := p.In.whoMay(r)
	shown, err := p.waiting(r, who)
	if err != nil {
		return seeOther(w, "/login")
	}
	var back flow.Returned
	returning := flow.Returning{Browser: p.In.signingIn(r)}
	switch in["do"] {
	case "link":
		if err = p.In.Cookies.CheckCSRF(r, who.Session, in["csrf_token"]); err == nil {
			back, err = p.Providers.Link(r.Context(), who, sealed, web.Origin(r))
		}
	case "code":
		shown.Sent = strings.TrimSpace(in["code"])
		back, err = p.Providers.SignUp(r.Context(), flow.Finishing{
			Sealed: sealed, Code: shown.Sent, Requests: p.In.Cookies.Requests(r), Browser: returning.Browser, Accepted: r.Header.Get("Accept-Language"),
		}, web.Origin(r))
	default:
		p.In.Cookies.PutUnfinished(w, "", 0)
		return seeOther(w, "/login")
	}
	var waits *flow.Waiting
	if err == nil || errors.As(err, &waits) {
		p.In.Cookies.PutUnfinished(w, "", 0)
		return p.arrive(w, r, returning, back, err)
	}
	v := p.In.view(r)
	v.CSRF = p.In.Cookies.CSRF(who.Session)
	problem := p.In.blame(v, r, err)
	if problem.Code == "invalid_code" || problem.Code == flow.ErrNotAsked.Code {
		v.Problem.Field = "code"
	}
	return p.In.fail(w, v, "join", shown, problem, err)
}
