package page

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Links are the pages that links in mails lead to, and those that send for one.
type Links struct {
	Visitor
	Register  *flow.Register
	Verify    *flow.Verify
	Passwords *flow.Passwords
	Addresses *flow.Addresses
	NotMe     *flow.NotMe
	Factors   *flow.Factors
	Consents  *flow.Consents
}

// Routes are its pages.
func (p *Links) Routes() web.Routes {
	routes := web.Routes{"GET /.well-known/change-password": p.changePassword}
	for _, l := range linkPages {
		routes["GET "+l.Path()], routes["POST "+l.Path()] = p.open(l), p.press(l)
	}
	return routes
}

// linkPage is a page that a mail's link leads to, or that sends for one. Opening it
// does nothing, whatever runs in it: scanners of mails open links, and run scripts.
// The link's token is in the fragment, which no proxy and no log sees; a script
// moves it into the form. Without script a person types the code, or the token.
type linkPage struct {
	// name is that of its template, and its path without the slash.
	name string
	// Code: it takes the code of the email as well as the token of its link.
	Token, Code bool
	// field is the one that a fault about a password is shown at.
	field string
	// do does what the button says, and returns the name of the ending.
	do func(p *Links, w http.ResponseWriter, r *http.Request, in map[string]string) (step string, err error)
}

// linkView is what such a page shows. It never shows a password again.
type linkView struct {
	linkPage
	// Email, Given and Sent are what was typed before: the token of the link, and the code.
	Email, Given, Sent string
	Rules              []ui.Rule
	// Said is the key of what was done before, and Title that of the heading then.
	Said, Title string
	// ByCode asks for the code alone; Stuck is for a link or a code that did not work.
	ByCode, Stuck bool
	// Password asks for the account's password too.
	Password bool
	// Closed: nobody may register. Passwordless: it may be without a password, and Bare says that this was chosen.
	Closed, Passwordless, Bare bool
	// Invited: the link invites, so where people may go without a password it opens the account without one as well.
	Invited bool
	// Documents are those that must be agreed to.
	Documents []askedDocument
	// Buttons are the other providers by which one gets an account, Then where one goes from there.
	Buttons []providerButton
	Then    string
}

// invited is how the address of the page says that a link invites. The link itself tells what it opens.
const invited = "invitation"

// Path is where the form goes.
func (l linkPage) Path() string { return "/" + l.name }

var linkPages = []linkPage{
	{name: "register", field: "new_password", do: (*Links).doRegister},
	{name: "verify", Token: true, Code: true, field: "password", do: (*Links).doVerify},
	{
		name: "forgot",
		do: func(p *Links, w http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
			request, err := p.Passwords.Forgot(r.Context(), in["email"], web.Origin(r))
			return stepMailed, p.asked(w, r, request, err)
		},
	},
	{
		name: "reset", Token: true, Code: true, field: "new_password",
		do: func(p *Links, _ http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
			return stepReplaced, p.Passwords.Reset(r.Context(), p.shown(r, in), in["new_password"], web.Origin(r))
		},
	},
	{
		name: "not-me", Token: true,
		do: func(p *Links, w http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
			shows, err := p.NotMe.Do(r.Context(), in["token"], web.Origin(r))
			p.putStory(w, shows)
			return stepExpelled, err
		},
	},
	{
		name: "undo", Token: true, field: "password",
		do: func(p *Links, w http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
			request, err := p.Addresses.Undo(r.Context(), in["token"], in["password"], p.browserOf(r), web.Origin(r))
			return stepUndone, p.asked(w, r, request, err)
		},
	},
	{
		name: "undo-factor", Token: true, field: "password",
		do: func(p *Links, w http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
			request, err := p.Factors.Undo(r.Context(), in["token"], in["password"], p.browserOf(r), web.Origin(r))
			return stepTaken, p.asked(w, r, request, err)
		},
	},
	{
		name: "stop-reset", Token: true,
		do: func(p *Links, _ http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
			return stepKept, p.Factors.StopReset(r.Context(), in["token"], web.Origin(r))
		},
	},
}

// shown is what somebody brings from a mail, in the browser that asked for it or in
// another.
func (p *Links) shown(r *http.Request, in map[string]string) flow.LinkOrCode {
	return flow.LinkOrCode{Token: in["token"], Email: in["email"], Code: in["code"], Requests: p.Cookies.Requests(r)}
}

func (p *Links) browserOf(r *http.Request) *flow.Browser {
	return &flow.Browser{Devices: p.Cookies.Devices(r), Registered: p.Cookies.Registered(r)}
}

func (p *Links) doRegister(w http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
	b := &flow.Browser{}
	agreed := ticked(p.view(r), p.Consents.Required, in)
	for _, d := range p.required() {
		if agreed.Versions[d.Name] == 0 {
			return "", fault.Field(fieldOf(d.Name), "agreement_required", "Please agree to this.")
		}
	}
	request, err := p.Register.Do(r.Context(), flow.Credentials{
		Email: in["email"], Password: in["new_password"], Passwordless: in["passwordless"] != "", Browser: b, Accepted: r.Header.Get("Accept-Language"),
		Agreed: agreed,
	}, web.Origin(r))
	if err == nil {
		p.Cookies.PutRegistered(w, b.Registered, flow.RegisteredLife)
	}
	return stepRegistered, p.asked(w, r, request, err)
}

func (p *Links) doVerify(w http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
	if in["again"] != "" {
		request, err := p.Verify.Resend(r.Context(), in["email"], web.Origin(r))
		return stepResent, p.asked(w, r, request, err)
	}
	who := p.whoMay(r) // whoever is signed in is not asked for the password
	begun, err := p.Verify.Do(r.Context(), p.shown(r, in), in["password"], who, p.browserOf(r), web.Origin(r))
	if errors.Is(err, flow.ErrDoneAlready) && who.Account == "" && p.Verify.Passwordless {
		return p.verifiedBefore(r), err
	}
	if err != nil || begun.Token == "" {
		return stepVerified, err
	}
	p.Cookies.PutPending(w, begun.Token, begun.Life)
	return stepPasskey, nil
}

// verifiedBefore is where somebody goes who presses again: on to the first passkey while that waits in this browser, or
// to the ways in. They may have none yet.
func (p *Links) verifiedBefore(r *http.Request) string {
	if token := p.Cookies.Pending(r); token != "" {
		if may, err := p.Factors.May(r.Context(), flow.Enroller{Pending: token}); err == nil && may.Begins {
			return stepPasskey
		}
	}
	return stepBefore
}

func (p *Links) page(v *ui.View, l linkPage) linkView {
	page := linkView{linkPage: l, Rules: p.rules(v.L), Closed: !p.Register.Open, Passwordless: p.Register.Passwordless}
	if l.name == "register" {
		page.Documents, page.Buttons = askedDocuments(v, p.required()), p.Buttons
	}
	return page
}

// required are the versions in force of what everybody must agree to.
func (p *Links) required() []consent.Document {
	return slices.DeleteFunc(p.Consents.Library.List(), func(d consent.Document) bool { return !p.Consents.Requires(d.Name) })
}

// open shows the form, or what was done by one, and nothing else happens.
func (p *Links) open(l linkPage) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		v := p.view(r)
		page := p.page(v, l)
		if l.name == "register" && page.Closed {
			return p.fail(w, v, "closed", nil, p.blame(v, r, flow.ErrRegistrationClosed), flow.ErrRegistrationClosed)
		}
		page.Bare = page.Passwordless && web.Parameter(r, "with") == "passkey"
		page.Invited, page.Then = web.Parameter(r, "with") == invited, p.Cookies.ReturnTo(p.Cookies.Returning(r), home)
		e, n, ok := p.ended(r)
		if n.Step == stepRegistered || n.Step == stepResent || n.Step == stepMailed {
			page.Email = n.Email
		}
		if ok && !e.asks {
			return p.done(w, r, e, n)
		}
		if ok {
			page.ByCode, page.Title, page.Said = true, e.title, e.text
			if n.Step == stepRegistered && p.Register.RequireVerified {
				page.Said = "verify.registered-first"
			}
		}
		return p.show(w, http.StatusOK, v, l.name, page)
	}
}

// done shows an ending. Whoever is signed in may have confirmed another address: browsers show passkeys under it.
func (p *Links) done(w http.ResponseWriter, r *http.Request, e ending, n web.Note) error {
	if n.Step == stepExpelled {
		if shown, err := p.showStory(w, r, e); shown || err != nil {
			return err
		}
	}
	var s passkeySignal
	if who := p.whoMay(r); n.Step == stepVerified && who.Account != "" {
		var err error
		if s, err = p.passkeySignal(r, p.Factors, who); err != nil {
			return err
		}
	}
	return p.showDone(w, r, e, n, s)
}

// press does what the button says.
func (p *Links) press(l linkPage) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		fields := []string{"token", "email", "code", "password", "new_password", "again", "passwordless", "with"}
		if l.name == "register" {
			fields = append(fields, agreedFields(p.Consents.Required)...)
		}
		in, err := p.form(w, r, fields...)
		v, step := p.view(r), ""
		page := p.page(v, l)
		if err == nil {
			for _, name := range []string{"token", "email", "code"} {
				in[name] = strings.TrimSpace(in[name])
			}
			page.Bare, page.Invited = page.Passwordless && in["passwordless"] != "", in["with"] == invited
			page.Given, page.Email, page.Sent = in["token"], in["email"], in["code"]
			if step, err = l.do(p, w, r, in); errors.Is(err, flow.ErrDoneAlready) {
				err = nil // pressed twice
			}
		}
		if err == nil {
			return p.end(w, step, in["email"])
		}
		return p.refusePress(w, r, v, page, err)
	}
}

// refusePress shows the form again with what is wrong, and returns the error for
// the log.
func (p *Links) refusePress(w http.ResponseWriter, r *http.Request, v *ui.View, page linkView, err error) error {
	problem := p.blame(v, r, err)
	if problem.Code == "agreement_required" {
		v.Problem.Field = "" // a box is no field that has something below it
	}
	page.ByCode = page.linkPage.Code && page.Given == "" && page.Sent != ""
	switch problem.Code {
	case flow.ErrPasswordRequired.Code, flow.ErrWrongPassword.Code:
		page.Password = true
		v.Problem.Focus = "password"
	case "invalid_link", "invalid_code", "too_many_codes", flow.ErrNotAsked.Code, "required", "rate_limited":
		page.Stuck = true
	}
	switch v.Problem.Field {
	case "password", "new_password":
		v.Problem.Field = page.field
	case "token":
		if page.ByCode || page.Code && page.Given == "" {
			v.Problem.Field = "code"
		}
	}
	if problem.Code == "invalid_code" && v.Problem.Field == "" || problem.Code == flow.ErrNotAsked.Code {
		v.Problem.Field = "code"
	}
	return p.fail(w, v, page.name, page, problem, err)
}

// changePassword is where password managers send people (RFC 8615, "A well-known
// URL for changing passwords").
func (p *Links) changePassword(w http.ResponseWriter, _ *http.Request) error {
	return seeOther(w, "/forgot")
}
