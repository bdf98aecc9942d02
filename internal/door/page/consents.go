package page

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// consentsView is what the section shows.
type consentsView struct {
	List    []consentView
	History []pastConsent
}

// consentView is a document as a person has it before them.
type consentView struct {
	Name, Title, Path string
	Version           int64
	Required          bool
	// Given is when it was agreed to; empty for not. Newer says that this was an older version.
	Given ui.Markup
	Newer bool
}

// pastConsent is one that was given, and perhaps taken back.
type pastConsent struct {
	Title, Path      string
	Version          int64
	Given, Withdrawn ui.Markup
}

// historyMost is how many of the latest consents the page lists; the API has them all.
const historyMost = 20

// ConsentsSection has the documents, and what was agreed to.
func (p *Account) ConsentsSection(consents *flow.Consents) Section {
	return Section{
		ID: "consents", Icon: "book", Title: "consents.title",
		Load: func(r *http.Request, s Signed) (any, error) {
			standing, history, err := consents.Of(r.Context(), s.Identity.Account)
			if err != nil || len(standing)+len(history) == 0 {
				return nil, err
			}
			return viewConsents(s.View, standing, history), nil
		},
		Actions: map[string]Action{
			"consent-give": {[]string{"document", "version"}, func(_ http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (string, error) {
				version, err := consent.ParseVersion(in["version"])
				if err != nil || !consent.IsName(in["document"]) {
					return "", errForm
				}
				agreed := flow.Agreed{Versions: map[string]int64{in["document"]: version}, Language: s.View.L.Tag}
				return stepAgreed, consents.Agree(r.Context(), s.Identity, agreed, web.Origin(r))
			}},
			"consent-withdraw": {[]string{"document"}, func(w http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (string, error) {
				if !consent.IsName(in["document"]) {
					return "", errForm
				}
				err := consents.Withdraw(r.Context(), s.Identity, in["document"], web.Origin(r))
				if err == nil && consents.Requires(in["document"]) { // every session has ended
					p.Cookies.Clear(w)
					return "", seeOther(w, "/login")
				}
				return stepWithdrawn, err
			}},
		},
	}
}

func viewConsents(v *ui.View, standing []flow.Standing, history []consent.Consent) (out consentsView) {
	titles := map[string]string{}
	for _, s := range standing {
		titles[s.Name] = titleOf(v, s.Document)
		one := consentView{Name: s.Name, Title: titles[s.Name], Path: s.Path(), Version: s.Version, Required: s.Required}
		if s.Given != nil {
			one.Given, one.Newer = v.Time(s.Given.GivenAt), !s.Current()
		}
		out.List = append(out.List, one)
	}
	for _, c := range history[:min(len(history), historyMost)] {
		d := consent.Document{Name: c.Document, Version: c.Version}
		past := pastConsent{Title: titles[c.Document], Path: d.Path(), Version: c.Version, Given: v.Time(c.GivenAt)}
		if past.Title == "" {
			past.Title = titleOf(v, d)
		}
		if !c.WithdrawnAt.IsZero() {
			past.Withdrawn = v.Time(c.WithdrawnAt)
		}
		out.History = append(out.History, past)
	}
	return out
}
