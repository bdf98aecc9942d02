package page

import (
	"errors"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Account is where people see what is theirs, and change it: one page of sections.
type Account struct {
	Entrance
	SignOut *flow.SignOut
	Profile *flow.Profile
	// Sections are the parts of the page, in their order. Whoever adds one writes a file with a constructor, a
	// template of its name, and a line where they are listed.
	Sections []Section
}

// Section is one part of the account's page.
type Section struct {
	// ID names it in addresses, and its template is section-ID. Icon and Title (a key) stand in the list of sections.
	ID, Icon, Title string
	// Load returns what its template shows; nil leaves the section out.
	Load func(r *http.Request, s Signed) (any, error)
	// Actions are what its forms do, by the value of their field "do".
	Actions map[string]Action
}

// Signed is who is signed in, on the page that is made for them.
type Signed struct {
	flow.Identity
	Account account.Account
	View    *ui.View
	// Sent is what a form had that is shown again: never its passwords.
	Sent map[string]string
}

// Action does what a form of a section asks for, and returns the name of the ending.
type Action struct {
	// Fields are those that the form may have, besides do and csrf_token.
	Fields []string
	Do     func(w http.ResponseWriter, r *http.Request, s Signed, in map[string]string) (step string, err error)
}

// Routes are its pages.
func (p *Account) Routes() web.Routes {
	return web.Routes{
		"GET /account":  p.open,
		"POST /account": p.act,
	}
}

// accountPage is the page around the sections.
type accountPage struct {
	Email    string
	Sections []shownSection
	// Said is what was done before, if something was.
	Said ui.Markup
}

// shownSection is a section that is drawn already.
type shownSection struct {
	ID, Icon, Title string
	Body            ui.Markup
}

// open says who is signed in, and sends others to sign in.
func (p *Account) open(w http.ResponseWriter, r *http.Request) error {
	who, err := p.entrance(w, r)
	switch {
	case errors.Is(err, errBounced):
		return nil
	case fault.KindOf(err) == fault.Unauthenticated:
		return seeOther(w, "/login")
	case err != nil:
		return err
	}
	s, err := p.signed(r, who)
	if err != nil {
		return err
	}
	var said ui.Markup
	if e, _, ok := p.ended(r); ok {
		said = s.View.H(e.text, "href", "/verify")
	}
	return p.draw(w, r, http.StatusOK, s, said)
}

// signed is the person behind a request, and their page.
func (p *Account) signed(r *http.Request, who flow.Identity) (Signed, error) {
	a, err := p.Profile.Me(r.Context(), who)
	if err != nil {
		return Signed{}, err
	}
	v := p.view(r, a.Locale)
	v.CSRF = p.Cookies.CSRF(who.Session)
	return Signed{Identity: who, Account: a, View: v}, nil
}

// draw shows the page with all sections.
func (p *Account) draw(w http.ResponseWriter, r *http.Request, status int, s Signed, said ui.Markup) error {
	page := accountPage{Email: s.Account.Email, Said: said}
	for _, section := range p.Sections {
		data, err := section.Load(r, s)
		if err != nil {
			return err
		}
		if data == nil {
			continue
		}
		body, err := p.set.Fragment(s.View, "section-"+section.ID, data)
		if err != nil {
			return err
		}
		page.Sections = append(page.Sections, shownSection{section.ID, section.Icon, section.Title, body})
	}
	return p.show(w, status, s.View, "account", page)
}

// action finds what a form does. Without its field do it ends a session.
func (p *Account) action(do string) (Action, bool) {
	for _, section := range p.Sections {
		if a, ok := section.Actions[do]; ok {
			return a, true
		}
	}
	return Action{}, false
}

// act does what one of the forms asks for.
func (p *Account) act(w http.ResponseWriter, r *http.Request) error {
	names := []string{"do", "csrf_token"}
	for _, section := range p.Sections {
		for _, a := range section.Actions {
			names = append(names, a.Fields...)
		}
	}
	in, err := p.form(w, r, names...)
	if err != nil {
		return err
	}
	if in["do"] == "" {
		in["do"] = "session-end"
	}
	who, err := p.who(w, r)
	if fault.KindOf(err) == fault.Unauthenticated {
		return seeOther(w, "/login")
	}
	if err != nil {
		return err
	}
	a, ok := p.action(in["do"])
	if !ok {
		return errForm
	}
	s, err := p.signed(r, who)
	if err != nil {
		return err
	}
	step := ""
	if err = p.Cookies.CheckCSRF(r, who.Session, in["csrf_token"]); err == nil {
		step, err = a.Do(w, r, s, in)
	}
	switch {
	case err == nil && step == "":
		return nil // it has answered by itself
	case err == nil:
		return p.end(w, step, "")
	}
	problem := p.blame(s.View, r, err)
	s.View.Problem.Form, s.Sent = in["do"], map[string]string{"email": in["email"], "name": in["name"]}
	if problem.Code == flow.ErrWrongPassword.Code {
		s.View.Problem.Field = "current_password"
	}
	problem.SetHeaders(w.Header())
	if rerr := p.draw(w, r, problem.Status, s, ""); rerr != nil {
		return rerr
	}
	return err
}

// browser is what the browser has that sends a form, for the counts of wrong passwords.
func (p *Visitor) browser(r *http.Request) *flow.Browser {
	return &flow.Browser{Devices: p.Cookies.Devices(r), Registered: p.Cookies.Registered(r)}
}
