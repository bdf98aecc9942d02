package page

import (
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// SignIn is where people sign in and out, and see that they are.
type SignIn struct {
	Forms
	SignIn       *flow.SignIn
	Refresh      *flow.Refresh
	SignOut      *flow.SignOut
	Authenticate *flow.Authenticate
	Profile      *flow.Profile
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
// application. Whoever is signed in still, and was sent here by a page of this
// server's, goes back at once, with new tokens if need be.
func (p *SignIn) login(w http.ResponseWriter, r *http.Request) error {
	q, err := web.Query(r, "return_to")
	if err != nil {
		return p.refuseLogin(w, r, loginPage{ReturnTo: home}, err)
	}
	shown := loginPage{ReturnTo: p.Cookies.ReturnTo(q.Get("return_to"), home)}
	if strings.HasPrefix(shown.ReturnTo, "/") && shown.ReturnTo != home {
		if p.Cookies.Access(r)+p.Cookies.Refresh(r) != "" {
			if _, err := p.who(w, r); err == nil {
				return seeOther(w, shown.ReturnTo)
			}
		} else if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
			// A link on another site led here, with which browsers send no strict
			// cookies. From this page they do.
			w.Header().Set("Refresh", "0")
		}
	}
	return render(w, http.StatusOK, "login.html", shown)
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
	t, err := p.SignIn.Do(r.Context(), flow.Credentials{Email: shown.Email, Password: in["password"], Browser: browser}, web.Origin(r))
	if err != nil {
		return p.refuseLogin(w, r, shown, err)
	}
	if old := p.Cookies.Refresh(r); old != "" {
		_ = p.SignOut.ByRefresh(r.Context(), old, web.Origin(r)) // it may be no session's at all
	}
	p.Cookies.PutDevice(w, r, browser.Known.Name, browser.Known.Value, browser.Known.Life)
	p.Cookies.Put(w, web.SessionTokens(t))
	return seeOther(w, shown.ReturnTo)
}

// refuseLogin shows the form again with what is wrong, and returns the error for
// the log.
func (p *SignIn) refuseLogin(w http.ResponseWriter, r *http.Request, shown loginPage, err error) error {
	problem := web.ProblemOf(r, err)
	shown.Problem, shown.Field = problemText(problem), problem.Field
	problem.SetHeaders(w.Header())
	if rerr := render(w, problem.Status, "login.html", shown); rerr != nil {
		return rerr
	}
	return err
}
