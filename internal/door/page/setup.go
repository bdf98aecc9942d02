package page

import (
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
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
	Token, Email string
	Problem      string
	Field        string
	MinLength    int
	Done         bool
}

// setup shows the form. The link's token is in the fragment, which no proxy and
// no log sees; a script moves it into the form, or the person does.
func (p *Setup) setup(w http.ResponseWriter, _ *http.Request) error {
	return render(w, http.StatusOK, "setup.html", setupPage{MinLength: p.Setup.Accounts.Policy.MinLength})
}

func (p *Setup) doSetup(w http.ResponseWriter, r *http.Request) error {
	in, err := p.form(w, r, "token", "email", "password")
	if err != nil {
		return p.refuse(w, r, setupPage{}, err)
	}
	shown := setupPage{Token: strings.TrimSpace(in["token"]), Email: strings.TrimSpace(in["email"])}
	err = p.Setup.Do(r.Context(), shown.Token, flow.Credentials{Email: shown.Email, Password: in["password"]}, web.Origin(r))
	if err != nil {
		return p.refuse(w, r, shown, err)
	}
	return render(w, http.StatusOK, "setup.html", setupPage{Done: true, Email: shown.Email})
}

// refuse shows the form again with what is wrong, and returns the error for the
// log.
func (p *Setup) refuse(w http.ResponseWriter, r *http.Request, shown setupPage, err error) error {
	problem := web.ProblemOf(r, err)
	shown.Problem, shown.Field, shown.MinLength = problemText(problem), problem.Field, p.Setup.Accounts.Policy.MinLength
	problem.SetHeaders(w.Header())
	if fault.KindOf(err) == fault.Internal {
		shown.Field = ""
	}
	if rerr := render(w, problem.Status, "setup.html", shown); rerr != nil {
		return rerr
	}
	return err
}
