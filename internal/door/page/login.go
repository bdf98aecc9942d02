package page

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// SignIn is where people sign in and out.
type SignIn struct {
	Entrance
	SignIn  *flow.SignIn
	Second  *flow.SecondStep
	Alone   *flow.PasskeySignIn
	SignOut *flow.SignOut
	Profile *flow.Profile
	Agree   *flow.Agree
	Closed  bool // nobody may register
}

// Routes are its pages.
func (p *SignIn) Routes() web.Routes {
	return web.Routes{
		"GET /login":         p.login,
		"POST /login":        p.doLogin,
		"GET /login/second":  p.second,
		"POST /login/second": p.doSecond,
		"GET " + agreePath:   p.agree,
		"POST " + agreePath:  p.doAgree,
		"GET /logout":        p.logout,
		"POST /logout":       p.doLogout,
	}
}

// loginPage is what the sign-in page shows. It never shows a password again.
type loginPage struct {
	ReturnTo, Email string
	Closed          bool // nobody may register
	// ACR and MaxAge are how strong and how fresh a sign-in the application asks for. Anybody can take them
	// out of the address: the application checks the claims.
	ACR, MaxAge string
	// Passkeys says that one signs in alone; browsers suggest them for the address then.
	Passkeys bool
	// Buttons are the other providers by which one signs in; Again asks them to have the person show anew who they are.
	Buttons []providerButton
	Again   bool
}

// Autocomplete is what browsers suggest for the address.
func (l loginPage) Autocomplete() string {
	if l.Passkeys {
		return "username webauthn"
	}
	return "username"
}

// home is where a person goes who came from nowhere.
const home = "/account"

// login shows the form. return_to leads only back to this server, or to an
// application; without it, to where the browser was on its way before it registered
// or set a new password. Whoever is signed in still is not asked again, and goes on at once,
// with new tokens if need be.
func (p *SignIn) login(w http.ResponseWriter, r *http.Request) error {
	to := p.Cookies.ReturnTo(web.Parameter(r, "return_to"), "")
	back := to != ""
	if !back {
		to = p.Cookies.ReturnTo(p.Cookies.Returning(r), home)
	}
	shown := loginPage{ReturnTo: to, Email: web.Parameter(r, "login_hint"), ACR: web.Parameter(r, "acr"), MaxAge: web.Parameter(r, "max_age"),
		Again: web.Parameter(r, "again") != ""}
	asked := wish(shown.ACR, shown.MaxAge)
	who, err := p.entrance(w, r)
	switch {
	// Who is asked for it signs in anew, as for the console's changes.
	case err == nil && web.Parameter(r, "again") == "" && asked.Satisfied(who, p.Authenticate.Now()):
		return p.sendOn(w, r, to)
	case errors.Is(err, errBounced):
		return nil
	case err == nil && shown.Email == "": // who signs in anew is known
		if a, err := p.Profile.Me(r.Context(), who); err == nil {
			shown.Email = a.Email
		}
	}
	// That it can't be told for the moment whose the session is keeps nobody from signing in.
	if back {
		p.Cookies.PutReturnTo(w, to)
	}
	v := p.view(r)
	return p.show(w, http.StatusOK, v, "login", p.shown(r, v, shown))
}

// wish is what an application asks for; what can't be read asks for nothing.
func wish(acr, maxAge string) flow.Asked {
	asked, err := flow.ParseAsked(acr, maxAge)
	if err != nil {
		return flow.Asked{}
	}
	return asked
}

// shown completes the page. Its form may lead to an application: browsers hold the answer's redirect to
// form-action too.
func (p *SignIn) shown(r *http.Request, v *ui.View, shown loginPage) loginPage {
	shown.Closed, shown.Passkeys, shown.Buttons = p.Closed, p.Alone.On(), p.Buttons
	v.FormTo = p.formTo(r, shown.ReturnTo)
	return shown
}

// originOf returns the origin that an address leads to, or nothing if that is ours.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	scheme, rest, _ := strings.Cut(address, "://")
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}

// doLogin signs in and puts the session into cookies. Whatever session the
// browser had before ends: a sign-in is always a new one.
func (p *SignIn) doLogin(w http.ResponseWriter, r *http.Request) error {
	in, err := p.form(w, r, "email", "password", "return_to", "acr", "max_age", "passkey")
	if err != nil {
		return p.refuseLogin(w, r, loginPage{ReturnTo: home}, err)
	}
	shown := loginPage{ReturnTo: p.Cookies.ReturnTo(in["return_to"], home), Email: strings.TrimSpace(in["email"]), ACR: in["acr"], MaxAge: in["max_age"]}
	browser := p.signingIn(r)
	if in["passkey"] != "" {
		t, err := p.Alone.Do(r.Context(), flow.PasskeyAlone{Passkey: []byte(in["passkey"]), Browser: browser, Cookies: true}, web.Origin(r))
		var waits *flow.Waiting
		if errors.As(err, &waits) {
			return p.waits(w, waits, shown.ReturnTo)
		}
		if err != nil {
			return p.refuseLogin(w, r, shown, err)
		}
		return p.enter(w, r, browser, t.Tokens, shown.ReturnTo)
	}
	t, err := p.SignIn.Do(r.Context(), flow.Credentials{Email: shown.Email, Password: in["password"], Browser: browser, Cookies: true,
		Asked: wish(shown.ACR, shown.MaxAge)}, web.Origin(r))
	var waits *flow.Waiting
	if errors.As(err, &waits) {
		return p.waits(w, waits, shown.ReturnTo)
	}
	if err != nil {
		return p.refuseLogin(w, r, shown, err)
	}
	return p.enter(w, r, browser, t, shown.ReturnTo)
}

// enter puts the session of a sign-in into cookies, in the place of the one before, and goes on.
func (p *SignIn) enter(w http.ResponseWriter, r *http.Request, browser *flow.Browser, t flow.Tokens, to string) error {
	p.SignOut.Before(r.Context(), browser, web.Origin(r))
	p.Cookies.PutDevice(w, r, browser.Known.Name, browser.Known.Value, browser.Known.Life)
	p.Cookies.Put(w, web.SessionTokens(t))
	p.Cookies.ClearReturnTo(w, r)
	return seeOther(w, p.Asks.signedIn(to, t.Session))
}

// refuseLogin shows the form again with what is wrong, and returns the error for
// the log.
func (p *SignIn) refuseLogin(w http.ResponseWriter, r *http.Request, shown loginPage, err error) error {
	v := p.view(r)
	problem := p.blame(v, r, err)
	if problem.Code == flow.ErrInvalidCredentials.Code {
		v.Problem.Focus = "password"
	}
	return p.fail(w, v, "login", p.shown(r, v, shown), problem, err)
}

// logout asks whether to sign out: a link that did so would be anybody's to plant.
func (p *SignIn) logout(w http.ResponseWriter, r *http.Request) error {
	refresh := p.Cookies.Refresh(r)
	if refresh == "" {
		return seeOther(w, "/login")
	}
	v := p.view(r)
	v.CSRF = p.Cookies.CSRF(p.SignOut.SessionOf(refresh))
	return p.show(w, http.StatusOK, v, "logout", nil)
}

// doLogout ends the session of the cookies and takes them away. A form of our own
// pages is enough, as browsers tell by its origin: a tab of the session before has that one's
// token, and a sign-out that fails is worse than one that was forged. A client that tells
// no origin needs the token.
func (p *SignIn) doLogout(w http.ResponseWriter, r *http.Request) error {
	in, err := p.form(w, r, "csrf_token")
	if err != nil {
		return err
	}
	if token := p.Cookies.Refresh(r); token != "" {
		if r.Header["Origin"] == nil && r.Header["Sec-Fetch-Site"] == nil {
			if err := p.Cookies.CheckCSRF(r, p.SignOut.SessionOf(token), in["csrf_token"]); err != nil {
				return err
			}
		}
		err := p.SignOut.ByRefresh(r.Context(), token, web.Origin(r))
		if err != nil && fault.KindOf(err) != fault.Unauthenticated {
			return err
		}
	}
	p.Cookies.Clear(w)
	return seeOther(w, "/login")
}

func seeOther(w http.ResponseWriter, path string) error {
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}
