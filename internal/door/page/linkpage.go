package page

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
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
	MinLength int // of passwords
}

// Routes are its pages.
func (p *Links) Routes() web.Routes {
	routes := web.Routes{"GET /.well-known/change-password": p.changePassword}
	for _, l := range linkPages {
		routes["GET "+l.path], routes["POST "+l.path] = p.open(l), p.press(l)
	}
	return routes
}

// linkPage is a page that a mail's link leads to, or that sends for one. Opening it
// does nothing, whatever runs in it: scanners of mails open links, and run scripts.
// The link's token is in the fragment, which no proxy and no log sees; a script
// moves it into the form. Without script a person types the code, or the token.
type linkPage struct {
	path, Title, Text, Button string
	// Token, Code, Email, Password and NewPassword are the fields that it has. With a
	// Code the token is one of two ways.
	Token, Code, Email, Password, NewPassword bool
	// Again is where the form for another mail goes, where the page has one.
	Again *again
	next  []next
	// do does what the button says, and returns the name of the ending.
	do func(p *Links, w http.ResponseWriter, r *http.Request, in map[string]string) (step string, err error)
}

// again is the form that asks for another mail: its page, and the field, if any, that
// tells it from that page's other form.
type again struct{ Path, Name string }

// linkView is what such a page shows. It never shows a password again.
type linkView struct {
	linkPage
	In             map[string]string
	Problem, Field string
	MinLength      int
	// Done is what was done, and Over that there is nothing more to do here.
	Done string
	Over bool
	// ByCode asks for the code alone; Stuck is for a link or a code that did not work.
	ByCode, Stuck bool
	// Closed is why there is no form at all.
	Closed string
	Next   []next
}

// Path is where the form goes.
func (l linkPage) Path() string { return l.path }

var linkPages = []linkPage{
	{
		path: "/register", Title: "Create an account", Button: "Create the account", Email: true, NewPassword: true,
		Text: "We send a mail to this address with a link that shows that it is yours.",
		next: []next{{"/login", "Sign in instead"}, nextVerify},
		do:   (*Links).doRegister,
	},
	{
		path: "/verify", Title: "Verify your address", Button: "This is my address", Token: true, Code: true,
		Text:  "Press the button if you created the account, or asked for its new address. If not, close this page.",
		Again: &again{"/verify", "again"},
		next:  []next{nextLogin, nextForgot},
		do:    (*Links).doVerify,
	},
	{
		path: "/forgot", Title: "Forgot password", Button: "Send me a mail", Email: true,
		Text: "We send a mail with a link to set a new password, if this address has an account.",
		next: []next{nextLogin, nextReset},
		do: func(p *Links, _ http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
			return stepMailed, p.Passwords.Forgot(r.Context(), in["email"], web.Origin(r))
		},
	},
	{
		path: "/reset", Title: "Set a new password", Button: "Set the password", Token: true, Code: true, NewPassword: true,
		Text:  "This signs you out everywhere.",
		Again: &again{"/forgot", ""},
		next:  []next{nextLogin},
		do: func(p *Links, _ http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
			return stepReplaced, p.Passwords.Reset(r.Context(), shown(in), in["new_password"], web.Origin(r))
		},
	},
	{
		path: "/not-me", Title: "This wasn't me", Button: "This wasn't me", Token: true,
		Text: "Press the button if the mail is about something that you did not do. All sessions end, links in mails are void, and nobody signs in before a " +
			"new password is set.",
		next: []next{nextForgot, nextLogin},
		do: func(p *Links, _ http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
			return stepExpelled, p.NotMe.Do(r.Context(), in["token"], web.Origin(r))
		},
	},
	{
		path: "/undo", Title: "Undo the change of address", Button: "Give me my address back", Token: true, Password: true,
		Text: "The account gets the address back that this mail went to. For this we need a password of yours that it had within the last seven days; the " +
			"latest that you know is fine.",
		next: []next{nextForgot, nextLogin},
		do: func(p *Links, _ http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
			return stepUndone, p.Addresses.Undo(r.Context(), in["token"], in["password"], p.browserOf(r), web.Origin(r))
		},
	},
}

func shown(in map[string]string) flow.LinkOrCode {
	return flow.LinkOrCode{Token: in["token"], Email: in["email"], Code: in["code"]}
}

func (p *Links) browserOf(r *http.Request) *flow.Browser {
	return &flow.Browser{Devices: p.Cookies.Devices(r), Registered: p.Cookies.Registered(r)}
}

func (p *Links) doRegister(w http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
	b := &flow.Browser{}
	err := p.Register.Do(r.Context(), flow.Credentials{
		Email: in["email"], Password: in["new_password"], Browser: b, Accepted: r.Header.Get("Accept-Language"),
	}, web.Origin(r))
	if err == nil {
		p.Cookies.PutRegistered(w, b.Registered, flow.RegisteredLife)
	}
	return stepRegistered, err
}

func (p *Links) doVerify(_ http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
	if in["again"] != "" {
		return stepResent, p.Verify.Resend(r.Context(), in["email"], web.Origin(r))
	}
	who := p.whoMay(r) // whoever is signed in is not asked for the password
	return stepVerified, p.Verify.Do(r.Context(), shown(in), in["password"], who, p.browserOf(r), web.Origin(r))
}

func (p *Links) view(l linkPage) linkView {
	v := linkView{linkPage: l, In: map[string]string{}, MinLength: p.MinLength, Next: l.next}
	if l.path == "/register" && !p.Register.Open {
		v.Closed, v.Next = flow.ErrRegistrationClosed.Message, []next{nextLogin}
	}
	return v
}

// open shows the form, or what was done by one, and nothing else happens.
func (p *Links) open(l linkPage) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		v := p.view(l)
		if v.Closed != "" {
			if err := render(w, http.StatusForbidden, "email-link.html", v); err != nil {
				return err
			}
			return flow.ErrRegistrationClosed
		}
		e, n, ok := p.ended(r)
		if n.Step == stepRegistered || n.Step == stepResent || n.Step == stepMailed {
			v.In["email"] = n.Email
		}
		if ok {
			v.Done, v.Over, v.ByCode, v.Next = e.said(p.Register.Welcome()), !e.asks, e.asks, e.next
			v.Text = ""
			if e.asks {
				v.Title = "Look into your mailbox"
			}
		}
		if !p.Register.Open {
			v.Next = slices.DeleteFunc(slices.Clone(v.Next), func(n next) bool { return n == nextRegister })
		}
		return render(w, http.StatusOK, "email-link.html", v)
	}
}

// press does what the button says.
func (p *Links) press(l linkPage) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		in, err := p.form(w, r, "token", "email", "code", "password", "new_password", "again")
		page, step := p.view(l), ""
		if err == nil {
			for _, name := range []string{"token", "email", "code"} {
				in[name] = strings.TrimSpace(in[name])
				page.In[name] = in[name]
			}
			if step, err = l.do(p, w, r, in); errors.Is(err, flow.ErrDoneAlready) {
				err = nil // pressed twice
			}
		}
		if err == nil {
			return p.end(w, step, in["email"])
		}
		return p.refusePress(w, r, page, err)
	}
}

// refusePress shows the form again with what is wrong, and returns the error for
// the log.
func (p *Links) refusePress(w http.ResponseWriter, r *http.Request, page linkView, err error) error {
	problem := web.ProblemOf(r, err)
	page.Problem, page.Field = problemText(problem), problem.Field
	page.ByCode = page.linkPage.Code && page.In["token"] == "" && page.In["code"] != ""
	if f := fault.As(err); f != nil {
		switch f.Code {
		case flow.ErrPasswordRequired.Code, flow.ErrWrongPassword.Code:
			page.Password = true
		case "invalid_link", "invalid_code", "too_many_codes", "required", "rate_limited":
			page.Stuck = true
		}
	}
	problem.SetHeaders(w.Header())
	if rerr := render(w, problem.Status, "email-link.html", page); rerr != nil {
		return rerr
	}
	return err
}

// changePassword is where password managers send people (RFC 8615, "A well-known
// URL for changing passwords").
func (p *Links) changePassword(w http.ResponseWriter, _ *http.Request) error {
	return seeOther(w, "/forgot")
}
