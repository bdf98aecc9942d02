package page

import (
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Unlock is where the link of a lockout's mail leads.
type Unlock struct {
	Forms
	Unlock *flow.Unlock
}

// Routes are its pages.
func (p *Unlock) Routes() web.Routes {
	return web.Routes{
		"GET /unlock":  p.unlock,
		"POST /unlock": p.doUnlock,
	}
}

// unlockPage is what the page behind a lockout mail's link shows.
type unlockPage struct {
	Token, Problem string
	Done           bool
}

// unlock shows one button: nothing happens by opening the link, which scanners of
// mails do. Its token is in the fragment, which no proxy and no log sees.
func (p *Unlock) unlock(w http.ResponseWriter, _ *http.Request) error {
	return render(w, http.StatusOK, "unlock.html", unlockPage{})
}

// doUnlock makes this browser a known device of the account.
func (p *Unlock) doUnlock(w http.ResponseWriter, r *http.Request) error {
	in, err := p.form(w, r, "token")
	if err != nil {
		return p.refuseUnlock(w, r, unlockPage{}, err)
	}
	shown := unlockPage{Token: strings.TrimSpace(in["token"])}
	known, err := p.Unlock.Do(r.Context(), shown.Token, web.Origin(r))
	if err != nil {
		return p.refuseUnlock(w, r, shown, err)
	}
	p.Cookies.PutDevice(w, r, known.Name, known.Value, known.Life)
	return render(w, http.StatusOK, "unlock.html", unlockPage{Done: true})
}

// refuseUnlock shows the form again with what is wrong, and returns the error
// for the log.
func (p *Unlock) refuseUnlock(w http.ResponseWriter, r *http.Request, shown unlockPage, err error) error {
	problem := web.ProblemOf(r, err)
	shown.Problem = problemText(problem)
	problem.SetHeaders(w.Header())
	if rerr := render(w, problem.Status, "unlock.html", shown); rerr != nil {
		return rerr
	}
	return err
}
