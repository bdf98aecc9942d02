package page

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/ops/privacy"
)

// ownDataView is what the section shows.
type ownDataView struct {
	Email string
	// Password says that the current password stands in for a fresh sign-in: there is no second factor.
	Password bool
	// Days is after how many days an account is deleted.
	Days int
}

// erased is the page after a form that deletes the account: no session is left that a redirect could show another to.
var erased = ending{title: "own-data.erased", text: "own-data.erased-text", next: []next{nextLogin}}

// OwnDataSection has the copy of all data, and the end of the account.
func (p *Account) OwnDataSection(factors *flow.Factors, exports *flow.Exports, exporter *privacy.Exporter, erasures *flow.Erasures) Section {
	fields := []string{"current_password"}
	return Section{
		ID: "own-data", Icon: "fetch", Title: "own-data.title",
		Load: func(r *http.Request, s Signed) (any, error) {
			o, err := factors.List(r.Context(), s.Identity)
			return ownDataView{Email: s.Account.Email, Password: none(o), Days: int(erasures.Grace / (24 * time.Hour))}, err
		},
		Actions: map[string]Action{
			"export": {fields, func(w http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (string, error) {
				if err := exports.Ask(r.Context(), s.Identity, in["current_password"], p.browser(r), web.Origin(r)); err != nil {
					return "", err
				}
				err := web.Download(w, r, "application/zip", privacy.FileName, exporter.Of(s.Identity.Account))
				if err != nil { // what was written says so by itself: it is no whole ZIP
					err = errCut.Because(err)
				}
				return "", err
			}},
			"erase": {fields, func(w http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (string, error) {
				if _, err := erasures.Ask(r.Context(), s.Identity, in["current_password"], p.browser(r), web.Origin(r)); err != nil {
					return "", err
				}
				p.Cookies.Clear(w)
				return "", p.showDone(w, r, erased, web.Note{Email: s.Account.Email}, passkeySignal{})
			}},
		},
	}
}

var errCut = fault.New(fault.Unavailable, "unavailable", "The copy could not be written to its end.")

// none reports whether somebody signs in by the password alone.
func none(o factor.Owned) bool { return o.App == nil && len(o.Keys) == 0 }
