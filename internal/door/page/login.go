package page

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// SignIn is where people sign in and out, and see that they are.
type SignIn struct {
	Entrance
	SignIn  *flow.SignIn
	SignOut *flow.SignOut
	Profile *flow.Profile
}

// Routes are its pages.
func (p *SignIn) Routes() web.Routes {
	return web.Routes{
		"GET /login":   p.login,
		"POST /login":  p.doLogin,
		"POST /logout": p.doLogout,
		"GET /account": p.account,
	}
}

// loginPage is what the sign-in page shows. It never shows a password again.
type loginPage struct {
	ReturnTo, Email string
	Problem         string
	Field           string
}

// home is where a person goes who came from nowhere.
const home = "/account"

// login shows the form. return_to leads only back to this server, or to an
// application; without it, to where the browser was on its way before it registered
// or set a new password. Whoever is signed in still is not asked again, and goes on at once,
// with new tokens if need be.
func (p *SignIn) login(w http.ResponseWriter, r *http.Request) error {
	to := p.Cookies.ReturnTo(web.Parameter(r, "return_to"), "")
	asked := to != ""
	if !asked {
		to = p.Cookies.ReturnTo(p.Cookies.Returning(r), home)
	}
	_, err := p.entrance(w, r)
	switch {
	case err == nil:
		return p.sendOn(w, r, to)
	case errors.Is(err, errBounced):
		return nil
	}
	// That it can't be told for the moment whose the session is keeps nobody from signing in.
	if asked {
		p.Cookies.PutReturnTo(w, to)
	}
	return p.showLogin(w, http.StatusOK, loginPage{ReturnTo: to})
}

// showLogin shows the form, which may lead to an application: browsers hold the
// answer's redirect to form-action too.
func (p *SignIn) showLogin(w http.ResponseWriter, status int, shown loginPage) error {
	return renderForm(w, status, "login.html", shown, originOf(shown.ReturnTo))
}

// doLogin signs in and puts the session into cookies. Whatever session the
// browser had before ends: a sign-in is always a new one.
func (p *SignIn) doLogin(w http.ResponseWriter, r *http.Request) error {
	in, err := p.form(w, r, "email", "password", "return_to")
	if err != nil {
		return p.refuseLogin(w, r, loginPage{ReturnTo: home}, err)
	}
	shown := loginPage{ReturnTo: p.Cookies.ReturnTo(in["return_to"], home), Email: strings.TrimSpace(in["email"])}
	browser := &flow.Browser{Devices: p.Cookies.Devices(r)}
	t, err := p.SignIn.Do(r.Context(), flow.Credentials{Email: shown.Email, Password: in["password"], Browser: browser, Cookies: true}, web.Origin(r))
	if err != nil {
		return p.refuseLogin(w, r, shown, err)
	}
	if old := p.Cookies.Refresh(r); old != "" {
		_ = p.SignOut.ByRefresh(r.Context(), old, web.Origin(r)) // it may be no session's at all
	}
	p.Cookies.PutDevice(w, r, browser.Known.Name, browser.Known.Value, browser.Known.Life)
	p.Cookies.Put(w, web.SessionTokens(t))
	p.Cookies.ClearReturnTo(w, r)
	return seeOther(w, shown.ReturnTo)
}

// refuseLogin shows the form again with what is wrong, and returns the error for
// the log.
func (p *SignIn) refuseLogin(w http.ResponseWriter, r *http.Request, shown loginPage, err error) error {
	problem := web.ProblemOf(r, err)
	shown.Problem, shown.Field = problemText(problem), problem.Field
	problem.SetHeaders(w.Header())
	if rerr := p.showLogin(w, problem.Status, shown); rerr != nil {
		return rerr
	}
	return err
}
