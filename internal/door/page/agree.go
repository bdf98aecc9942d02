package page

import (
	"errors"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// agreePath is where somebody agrees on the way in.
const agreePath = "/login/agree"

// agreePage is what the page shows.
type agreePage struct {
	Documents []askedDocument
	// Over says that there is no sign-in that waits.
	Over bool
}

// askedDocument is a document with a box to tick. The box's value is the version, so that nobody agrees to another than
// the one they were shown.
type askedDocument struct {
	Field, Title, Path string
	Version            int64
	Ticked             bool
}

func fieldOf(name string) string { return "agree-" + name }

func askedDocuments(v *ui.View, list []consent.Document) (out []askedDocument) {
	for _, d := range list {
		out = append(out, askedDocument{Field: fieldOf(d.Name), Title: titleOf(v, d), Path: d.Path(), Version: d.Version})
	}
	return out
}

// agreedFields are the fields of the boxes that a form may have.
func agreedFields(names []string) (fields []string) {
	for _, name := range names {
		fields = append(fields, fieldOf(name))
	}
	return fields
}

// ticked reads the boxes. What is no version counts as not ticked.
func ticked(v *ui.View, names []string, in map[string]string) flow.Agreed {
	agreed := flow.Agreed{Versions: map[string]int64{}, Language: v.L.Tag}
	for _, name := range names {
		if version, err := consent.ParseVersion(in[fieldOf(name)]); err == nil && version > 0 {
			agreed.Versions[name] = version
		}
	}
	return agreed
}

// agree shows what must be agreed to.
func (p *SignIn) agree(w http.ResponseWriter, r *http.Request) error {
	v := p.view(r)
	shown, err := p.toAgree(r, v)
	if err != nil {
		return err
	}
	v.FormTo = p.formTo(r, p.Cookies.ReturnTo(p.Cookies.Returning(r), home))
	return p.show(w, http.StatusOK, v, "agree", shown)
}

func (p *SignIn) toAgree(r *http.Request, v *ui.View) (shown agreePage, err error) {
	token := p.Cookies.Pending(r)
	if token == "" {
		return agreePage{Over: true}, nil
	}
	asked, err := p.Agree.Asked(r.Context(), token)
	if errors.Is(err, factor.ErrOver) {
		return agreePage{Over: true}, nil
	}
	return agreePage{Documents: askedDocuments(v, asked)}, err
}

// doAgree ends the sign-in. Whoever presses the button twice finds it ended, and goes on as after the first time.
func (p *SignIn) doAgree(w http.ResponseWriter, r *http.Request) error {
	names := p.Agree.End.Consents.Required
	in, err := p.form(w, r, agreedFields(names)...)
	if err != nil {
		return p.refuseAgree(w, r, flow.Agreed{}, err)
	}
	to := p.Cookies.ReturnTo(p.Cookies.Returning(r), home)
	browser, agreed := p.signingIn(r), ticked(p.view(r), names, in)
	agreeing := flow.Agreeing{Token: p.Cookies.Pending(r), Agreed: agreed, Browser: browser, Cookies: true}
	t, err := flow.Tokens{}, error(factor.ErrOver)
	if agreeing.Token != "" {
		t, err = p.Agree.Do(r.Context(), agreeing, web.Origin(r))
	}
	if errors.Is(err, factor.ErrOver) {
		if who := p.whoMay(r); who.Account != "" {
			p.Cookies.ClearReturnTo(w, r)
			return seeOther(w, to)
		}
		p.Cookies.PutPending(w, "", 0)
	}
	if err != nil {
		return p.refuseAgree(w, r, agreed, err)
	}
	p.Cookies.PutPending(w, "", 0)
	return p.enter(w, r, browser, t, to)
}

// refuseAgree shows the page again with what is wrong, and returns the error for the log. What was ticked of the
// versions in force stays ticked.
func (p *SignIn) refuseAgree(w http.ResponseWriter, r *http.Request, agreed flow.Agreed, err error) error {
	v := p.view(r)
	shown, failed := p.toAgree(r, v)
	if failed != nil || errors.Is(err, factor.ErrOver) {
		shown = agreePage{Over: true}
	}
	for i, d := range shown.Documents {
		for name, version := range agreed.Versions {
			if fieldOf(name) == d.Field && version == d.Version {
				shown.Documents[i].Ticked = true
			}
		}
	}
	v.FormTo = p.formTo(r, p.Cookies.ReturnTo(p.Cookies.Returning(r), home))
	return p.fail(w, v, "agree", shown, p.blame(v, r, err), err)
}
