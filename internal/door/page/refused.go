package page

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

// refusedPage is what a person reads where no page of ours has the words for what went wrong.
type refusedPage struct {
	RequestID string
	// Ours: it failed on our side. Again: to load the page again may help.
	Ours, Again bool
	At          string
}

// comeAgain is after how many seconds a page that could not be answered tries again by itself.
const comeAgain = "10"

// Refused shows a person any error that no page has answered: what it means to
// them, and where to go from here.
func (p *Pages) Refused(w http.ResponseWriter, r *http.Request, problem web.Problem) error {
	v := p.view(r)
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	shown := refusedPage{RequestID: problem.RequestID, At: r.URL.RequestURI(), Again: reads}
	if problem.Status == http.StatusServiceUnavailable && reads {
		w.Header().Set("Refresh", comeAgain)
		return p.show(w, problem.Status, v, "maintenance", shown)
	}
	what := p.blameProblem(v, r, problem)
	switch {
	case problem.Status == http.StatusNotFound && problem.Code == "not_found":
		what = words{"error.not_found.title", "error.not_found"}
		shown.Again = false
	case problem.Status == http.StatusMethodNotAllowed:
		what = words{"error.method_not_allowed.title", "error.method_not_allowed"}
		shown.Again = false
	case problem.Status == http.StatusTooManyRequests:
		what = words{"error.limited.title", "error.limited"}
	case problem.Status == http.StatusRequestEntityTooLarge:
		what = words{"error.too_large.title", "error.too_large"}
	case problem.Status >= http.StatusInternalServerError && problem.Status != http.StatusServiceUnavailable:
		what, shown.Ours = words{"error.internal.title", "error.internal"}, true
	}
	v.Problem.Title, v.Problem.Text, v.Problem.Field = v.T(what.title), p.sentence(v, what, problem, again(r)), ""
	if problem.Status == http.StatusTooManyRequests {
		v.Problem.Wait = max(problem.RetryAfter(), time.Second)
	}
	return p.show(w, problem.Status, v, "refused", shown)
}
