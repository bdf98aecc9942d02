package page

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Setup is where the first administrator is made.
type Setup struct {
	Forms
	Setup *flow.Setup
}

// Routes are its pages.
func (p *Setup) Routes() web.Routes {
	return web.Routes{
		"GET /setup":  p.setup,
		"POST /setup": p.doSetup,
	}
}

// setupPage is what the set-up page shows. It never shows a password again.
type setupPage struct {
	Given, Email string
	Rules        []ui.Rule
}

// setup shows the form. The link's token is in the fragment, which no proxy and
// no log sees; a script moves it into the form, or the person does.
func (p *Setup) setup(w http.ResponseWriter, r *http.Request) error {
	if e, n, ok := p.ended(r); ok {
		return p.showDone(w, r, e, n, passkeySignal{})
	}
	v := p.view(r)
	return p.show(w, http.StatusOK, v, "setup", setupPage{Rules: p.rules(v.L)})
}

func (p *Setup) doSetup(w http.ResponseWriter, r *http.Request) error {
	v := p.view(r)
	shown := setupPage{Rules: p.rules(v.L)}
	in, err := p.form(w, r, "token", "email", "password")
	if err != nil {
		return p.fail(w, v, "setup", shown, p.blame(v, r, err), err)
	}
	shown.Given, shown.Email = strings.TrimSpace(in["token"]), strings.TrimSpace(in["email"])
	first := flow.Credentials{Email: shown.Email, Password: in["password"], Accepted: r.Header.Get("Accept-Language")}
	if err = p.Setup.Do(r.Context(), shown.Given, first, web.Origin(r)); err == nil {
		return p.end(w, stepAdmin, shown.Email)
	}
	var waits *flow.Waiting
	if errors.As(err, &waits) {
		p.Cookies.PutPending(w, waits.Token, waits.Life)
		p.Cookies.PutReturnTo(w, "/admin")
		return seeOther(w, enrolPath)
	}
	problem := p.blame(v, r, err)
	if fault.KindOf(err) == fault.Internal {
		v.Problem.Field = ""
	}
	return p.fail(w, v, "setup", shown, problem, err)
}
