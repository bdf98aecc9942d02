package page

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// factorsView is what the section shows.
type factorsView struct {
	factor.Owned
	// Used is when the app was used last, if it was.
	Used ui.Markup
	// Low says that few recovery codes are left.
	Low bool
}

// FactorsSection has what signing in asks for beside the password.
func (p *Account) FactorsSection(factors *flow.Factors) Section {
	return Section{
		ID: "factors", Icon: "shield", Title: "factors.title",
		Load: func(r *http.Request, s Signed) (any, error) {
			o, err := factors.List(r.Context(), s.Identity)
			v := factorsView{Owned: o, Low: o.CodesLeft <= factor.CodesLow}
			if err == nil && o.App != nil && !o.App.UsedAt.IsZero() {
				v.Used = s.View.Time(o.App.UsedAt)
			}
			return v, err
		},
		Actions: map[string]Action{
			"factor-remove": {nil, func(_ http.ResponseWriter, r *http.Request, s Signed, _ map[string]string) (string, error) {
				return stepFactorGone, factors.RemoveApp(r.Context(), s.Identity, false, web.Origin(r))
			}},
		},
	}
}

// own finds out who is signed in, and may add a factor and make codes now. Whose sign-in is too old for that signs in
// again, and comes back; done is whether the answer is written.
func (p *Enrol) own(w http.ResponseWriter, r *http.Request) (who flow.Identity, done bool, err error) {
	if who, err = p.entrance(w, r); err == nil {
		err = p.Factors.MayChange(r.Context(), who)
	}
	f := fault.As(err)
	switch {
	case err == nil:
		return who, false, nil
	case fault.KindOf(err) == fault.Unauthenticated:
		return who, true, seeOther(w, "/login?return_to="+url.QueryEscape(factorsPath))
	case f != nil && (f.Code == "sign_in_again" || f.Code == "step_up_required"):
		return who, true, seeOther(w, again(r))
	case errors.Is(err, errBounced):
		return who, true, nil
	}
	return who, true, err
}

// openOwn says what an app is for.
func (p *Enrol) openOwn(w http.ResponseWriter, r *http.Request) error {
	who, done, err := p.own(w, r)
	if done {
		return err
	}
	o, err := p.Factors.List(r.Context(), who)
	if err != nil {
		return err
	}
	return p.show(w, http.StatusOK, p.ownView(r, who), "enrol", enrolPage{Action: factorsPath, Own: true, Mails: o.App == nil && len(o.Keys) == 0})
}

// ownView is a page with the token against forged requests.
func (p *Enrol) ownView(r *http.Request, who flow.Identity) *ui.View {
	v := p.view(r)
	v.CSRF = p.Cookies.CSRF(who.Session)
	return v
}

// doOwn shows a secret, puts an app in force, or makes recovery codes.
func (p *Enrol) doOwn(w http.ResponseWriter, r *http.Request) error {
	in, err := p.form(w, r, "code", "mail_code", "begin", "codes", "csrf_token")
	if err != nil {
		return err
	}
	who, done, err := p.own(w, r)
	if done {
		return err
	}
	v, by, shown := p.ownView(r, who), flow.Enroller{Identity: who}, enrolPage{Action: factorsPath, Own: true}
	if err := p.Cookies.CheckCSRF(r, who.Session, in["csrf_token"]); err != nil {
		return p.refuse(w, r, v, shown, err)
	}
	switch {
	case in["codes"] != "":
		state, err := p.Factors.Password(r.Context(), who)
		if err != nil {
			return err
		}
		codes, err := p.Factors.MakeCodes(r.Context(), who, web.Origin(r))
		if err != nil {
			return p.refuse(w, r, v, shown, err)
		}
		return p.show(w, http.StatusOK, v, "codes", codesPage{Codes: codes, To: home, Bare: !state.Has})
	case in["begin"] != "":
		return p.begin(w, r, v, by, shown)
	}
	added, err := p.confirm(w, r, by, in)
	switch {
	case err != nil:
		return p.again(w, r, v, by, shown, err)
	case !added.First:
		return p.end(w, stepFactor, "")
	}
	return p.show(w, http.StatusOK, v, "codes", codesPage{Codes: added.RecoveryCodes, To: onwards(added)})
}

// onwards is where somebody goes who has added a factor in their account.
func onwards(added flow.Added) string {
	if added.Waits != nil {
		return agreePath
	}
	return home
}

// download answers with the recovery codes that the page has shown as a file: they are kept nowhere, so they come with
// the form. What is no code is not in it.
func (p *Enrol) download(w http.ResponseWriter, r *http.Request) error {
	in, err := p.form(w, r, "codes")
	if err != nil {
		return err
	}
	v := p.view(r)
	lines := []string{v.T("codes.file", "service", v.Service()), ""}
	for _, code := range strings.Fields(in["codes"]) {
		if parsed := factor.ParseRecoveryCode(code); parsed != "" && len(lines) < 2+factor.CodesMade {
			lines = append(lines, factor.Grouped(parsed))
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="recovery-codes.txt"`)
	_, err = w.Write([]byte(strings.Join(lines, "\r\n") + "\r\n"))
	return err
}
