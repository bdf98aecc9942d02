package page

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/openid"
)

// Authorize is where applications lead people to sign in to them, and out of them.
type Authorize struct {
	Entrance
	Authorize  *openid.Authorize
	EndSession *openid.EndSession
	SignOut    *flow.SignOut
	Profile    *flow.Profile
	// Issuer is PUBLIC_URL. On is whether people can sign in to applications here.
	Issuer string
	On     bool
}

// Routes are its pages.
func (p *Authorize) Routes() web.Routes {
	return web.Routes{
		"GET " + authorizePath:  p.authorize,
		"POST " + authorizePath: p.authorize,
		"GET " + continuePath:   p.goOn,
		"POST " + consentPath:   p.consent,
		"GET " + endPath:        p.end,
		"POST " + endPath:       p.end,
		"POST " + leavePath:     p.leave,
	}
}

var (
	errProviderOff = fault.New(fault.NotFound, "provider_off",
		"Nobody signs in to applications here: JWT_ISSUER is another address than PUBLIC_URL. Leave JWT_ISSUER out, or make the two the same.")
	errTwice = fault.New(fault.Invalid, "duplicate_parameter",
		"The application that led here asks for something twice. Tell its operator: each parameter may be there once.")
	errNoPage = fault.New(fault.Denied, "not_a_navigation",
		"This address is for a person's browser that goes there: no script may load it, and no browser ahead of time.")
)

// parameters reads the known parameters of an address or a form, each at most once; others are passed over.
func parameters(w http.ResponseWriter, r *http.Request, names []string) (map[string]string, error) {
	if r.Method == http.MethodPost {
		return web.FormRepeated(w, r, openid.Repeated, names...)
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errForm.Because(err)
	}
	in := map[string]string{}
	for _, value := range values[openid.Repeated] {
		if strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
			return nil, errForm
		}
		in[openid.Repeated] = strings.TrimPrefix(in[openid.Repeated]+" "+value, " ")
	}
	for _, name := range names {
		switch list := values[name]; {
		case len(list) > 1:
			return nil, errTwice
		case len(list) == 1 && (!utf8.ValidString(list[0]) || strings.ContainsRune(list[0], 0)):
			return nil, errForm
		case len(list) == 1:
			in[name] = list[0]
		}
	}
	return in, nil
}

// authorize takes what an application asks for, and goes on with it under an address of ours, to which the browser brings its
// cookies. Whatever site led here, nothing is decided here.
func (p *Authorize) authorize(w http.ResponseWriter, r *http.Request) error {
	if !p.On {
		return errProviderOff
	}
	in, err := parameters(w, r, openid.Parameters())
	if err != nil {
		return err
	}
	sealed, request, err := p.Authorize.Begin(r.Context(), in)
	if refused := openid.RefusedOf(err); refused != nil {
		return p.tell(w, r, refused.Request, "", refused)
	}
	if err != nil {
		return err
	}
	if request.Asks(openid.PromptNone) && r.Header.Get("Sec-Fetch-Dest") == "iframe" && r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		// The page that would have the browser come again may not be framed, and the application would wait.
		return p.tell(w, r, request, "", &openid.Refused{Request: request, Code: "login_required", Description: "a frame of another site has no session"})
	}
	to := onward(sealed)
	if r.Method == http.MethodPost || withoutCookies(r) {
		w.Header().Set("Refresh", "0; url="+to)
		return p.show(w, http.StatusOK, p.view(r), "bounce", to)
	}
	return seeOther(w, to)
}

// withoutCookies reports whether the browser keeps its cookies to itself, since another site led here.
func withoutCookies(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "cross-site"
	}
	return len(r.Cookies()) == 0
}

// arrives tells who goes here; nobody is no error. bounced says that the browser was asked to come again with its cookies.
func (p *Authorize) arrives(w http.ResponseWriter, r *http.Request) (who flow.Identity, bounced bool, err error) {
	if !web.Navigates(r) {
		return who, false, errNoPage
	}
	who, err = p.entrance(w, r)
	switch {
	case errors.Is(err, errBounced):
		return who, true, nil
	case fault.KindOf(err) == fault.Unauthenticated:
		return flow.Identity{}, false, nil
	}
	return who, false, err
}

// goOn gives the application its answer, or leads to what is needed first.
func (p *Authorize) goOn(w http.ResponseWriter, r *http.Request) error {
	who, bounced, err := p.arrives(w, r)
	if bounced || err != nil {
		return err
	}
	sealed := web.Parameter(r, "tx")
	step, err := p.Authorize.Answer(r.Context(), sealed, who.Session, nil, web.Origin(r))
	return p.next(w, r, sealed, who, step, err)
}

// next answers, or leads on.
func (p *Authorize) next(w http.ResponseWriter, r *http.Request, sealed string, who flow.Identity, step openid.Step, err error) error {
	if refused := openid.RefusedOf(err); refused != nil {
		return p.tell(w, r, refused.Request, "", refused)
	}
	if err != nil {
		return err
	}
	switch step.Need {
	case openid.NeedNothing:
		return p.tell(w, r, step.Request, step.Code, nil)
	case openid.NeedAccount:
		p.Cookies.PutReturnTo(w, onward(sealed))
		return seeOther(w, "/register")
	case openid.NeedSignIn, openid.NeedStrength:
		return seeOther(w, signInFor(sealed, who, step))
	}
	return p.ask(w, r, sealed, who, step)
}

// signInFor is the sign-in page for a request.
func signInFor(sealed string, who flow.Identity, step openid.Step) string {
	query := url.Values{"return_to": {onward(sealed)}}
	if who.Account != "" {
		query.Set("again", "1")
	}
	if step.ACR != "" {
		query.Set("acr", step.ACR)
	}
	if step.Request.Login != "" {
		query.Set("login_hint", step.Request.Login)
	}
	return "/login?" + query.Encode()
}

// consentScreen is what the page that asks shows.
type consentScreen struct {
	Sealed string
	// Title is what the application is called, and To where its answer goes: a host, or empty for a program on this computer.
	Title, To string
	// Email is whose account is signed in, and Again where another one signs in.
	Email, Again string
	// Scopes are what it is to know, by their keys; the new ones are marked.
	Scopes []askedScope
	// Resources are where it is to do something for the person.
	Resources []askedResource
	// Days is for how long it goes on by itself; 0 if it does not.
	Days int
	// Self says that the application registered itself.
	Self bool
	// Other says that this account may not.
	Other bool
}

type askedScope struct {
	Key string
	New bool
}

// askedResource is one, with its scopes in the operator's words; the new ones are marked.
type askedResource struct {
	Name, URI string
	New       bool
	Scopes    []askedScope
}

// ask shows who asks, for what, and who is asked.
func (p *Authorize) ask(w http.ResponseWriter, r *http.Request, sealed string, who flow.Identity, step openid.Step) error {
	a, err := p.Profile.Me(r.Context(), who)
	if err != nil {
		return err
	}
	v := p.view(r, a.Locale)
	v.CSRF = p.Cookies.CSRF(who.Session)
	v.FormTo = client.Origin(step.Request.Redirect)
	shown := consentScreen{
		Sealed: sealed, Title: step.Client.Shown(), Email: a.Email, Other: step.Need == openid.NeedOther,
		Again: "/login?" + url.Values{"again": {"1"}, "return_to": {onward(sealed)}}.Encode(),
	}
	if !client.Impersonable(step.Request.Redirect) {
		_, shown.To, _ = strings.Cut(v.FormTo, "://")
	}
	if step.Consents && !shown.Other {
		shown.Scopes, shown.Days = scopesShown(step, int(p.Authorize.Grants.OfflineMax().Hours()/24))
		shown.Resources, shown.Self = resourcesShown(step), step.Client.Self
	}
	status := http.StatusOK
	if shown.Other {
		status = http.StatusForbidden
	}
	return p.show(w, status, v, "consent", shown)
}

// scopeWords are the keys of what a scope tells.
var scopeWords = map[string]string{
	grant.OpenID: "scope.openid", grant.Profile: "scope.profile", grant.Email: "scope.email", grant.Roles: "scope.roles", grant.Groups: "scope.groups",
}

// scopesShown are the scopes that say something of the person, in words; openid alone tells who somebody is.
func scopesShown(step openid.Step, offlineDays int) (list []askedScope, days int) {
	for _, s := range grant.ParseScope(strings.Join(step.Request.Scope, " ")) {
		if s == grant.Offline {
			days = offlineDays
			continue
		}
		list = append(list, askedScope{scopeWords[s], step.Again && slices.Contains(step.New, s)})
	}
	return list, days
}

// resourcesShown are the resources, with their scopes in the operator's words.
func resourcesShown(step openid.Step) (list []askedResource) {
	for _, r := range step.Resources {
		one := askedResource{Name: r.Name, URI: r.URI, New: step.Again && r.New}
		for _, s := range r.Asked {
			one.Scopes = append(one.Scopes, askedScope{s.Shown(), step.Again && !r.New && s.New})
		}
		list = append(list, one)
	}
	return list
}

// consent takes what the person said. Only our own page's form counts: another origin's script could otherwise agree to anything.
func (p *Authorize) consent(w http.ResponseWriter, r *http.Request) error {
	in, err := p.form(w, r, "tx", "csrf_token", "say")
	if err != nil {
		return err
	}
	who, err := p.who(w, r)
	if err == nil {
		err = p.Cookies.CheckCSRF(r, who.Session, in["csrf_token"])
	}
	if err != nil && (fault.KindOf(err) == fault.Unauthenticated || errors.Is(err, web.ErrCSRF)) {
		return seeOther(w, onward(in["tx"])) // signed out meanwhile, or somebody else is signed in: they are asked anew
	}
	if err != nil {
		return err
	}
	step, err := p.Authorize.Answer(r.Context(), in["tx"], who.Session, &openid.Agreed{No: in["say"] != "yes"}, web.Origin(r))
	return p.next(w, r, in["tx"], who, step, err)
}

// formPost is a page that sends itself to an application.
type formPost struct {
	To     string
	Fields []formField
}

type formField struct{ Name, Value string }

// selfScreen says that something is wrong with what an application asks that registered itself. A redirect would have anybody lead people
// from our address to theirs (RFC 9700 section 4.11.2); where somebody is signed in, it is for them.
type selfScreen struct{ Title, Code, To, Host string }

// tell gives the application its answer, in the way that it asked for.
func (p *Authorize) tell(w http.ResponseWriter, r *http.Request, request openid.Request, code string, refused *openid.Refused) error {
	mode, to, values := openid.AnswerTo(request, p.Issuer, code, refused)
	if refused != nil && p.whoMay(r).Account == "" {
		if c, ok := p.Authorize.RegisteredItself(r.Context(), request.Client); ok {
			return p.show(w, http.StatusBadRequest, p.view(r), "self", selfScreen{c.Shown(), refused.Code, openid.With(to, "?", values), client.Origin(to)})
		}
	}
	switch mode {
	case client.ModeFormPost:
		v := p.view(r)
		v.FormTo = client.Origin(to)
		shown := formPost{To: to}
		for _, name := range []string{"code", "error", "error_description", "state", "iss"} {
			if value := values.Get(name); value != "" {
				shown.Fields = append(shown.Fields, formField{name, value})
			}
		}
		return p.show(w, http.StatusOK, v, "form-post", shown)
	case client.ModeFragment:
		return seeOther(w, openid.With(to, "#", values))
	}
	return seeOther(w, openid.With(to, "?", values))
}
