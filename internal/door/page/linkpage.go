package page

import (
	"errors"
	"net/http"
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
	// do does what the button says, and returns what to tell of it.
	do func(p *Links, w http.ResponseWriter, r *http.Request, in map[string]string) (done string, err error)
}

// linkView is what such a page shows. It never shows a password again.
type linkView struct {
	linkPage
	In             map[string]string
	Problem, Field string
	MinLength      int
	Done           string
}

// Path is where the form goes.
func (l linkPage) Path() string { return l.path }

var linkPages = []linkPage{
	{
		path: "/register", Title: "Make an account", Button: "Make the account", Email: true, NewPassword: true,
		Text: "We send a mail to this address with a link that shows that it is yours.",
		do:   (*Links).doRegister,
	},
	{
		path: "/verify", Title: "Verify your address", Button: "This is my address", Token: true, Code: true,
		Text: "Press the button if you made the account, or asked for its new address. If not, close this page.",
		do:   (*Links).doVerify,
	},
	{
		path: "/forgot", Title: "Forgot password", Button: "Send me a mail", Email: true,
		Text: "We send a mail with a link to set a new password, if this address has an account.",
		do: func(p *Links, _ http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
			return "If this address has an account, a mail is on its way, or was sent a short while ago. Its link works for 30 minutes.",
				p.Passwords.Forgot(r.Context(), in["email"], web.Origin(r))
		},
	},
	{
		path: "/reset", Title: "Set a new password", Button: "Set the password", Token: true, Code: true, NewPassword: true,
		Text: "You are signed out everywhere by this.",
		do: func(p *Links, _ http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
			return "The new password is set. All sessions have ended.", p.Passwords.Reset(r.Context(), shown(in), in["new_password"], web.Origin(r))
		},
	},
	{
		path: "/not-me", Title: "This wasn't me", Button: "This wasn't me", Token: true,
		Text: "Press the button if it was not you that the mail tells of. All sessions end, links in mails are void, and nobody signs in before a new " +
			"password was set.",
		do: func(p *Links, _ http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
			return "All sessions have ended. Now set a new password by \"Forgot password\", at the address that this mail went to; until then nobody can " +
					"sign in. If the account's address was changed as well, the mail that you get leads back to yours.",
				p.NotMe.Do(r.Context(), in["token"], web.Origin(r))
		},
	},
	{
		path: "/undo", Title: "Undo the change of address", Button: "Give me my address back", Token: true, Password: true,
		Text: "The account gets the address back that this mail went to. For this we need a password of yours that it had within the last seven days; " +
			"the latest that you know is fine.",
		do: func(p *Links, _ http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
			return "The account has its old address again, and all sessions have ended. We sent a mail there with a link to set a new password; until then " +
					"nobody can sign in.",
				p.Addresses.Undo(r.Context(), in["token"], in["password"], p.browserOf(r), web.Origin(r))
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
	err := p.Register.Do(r.Context(), flow.Credentials{Email: in["email"], Password: in["new_password"], Browser: b}, web.Origin(r))
	if err == nil {
		p.Cookies.PutRegistered(w, b.Registered, flow.RegisteredLife)
	}
	return p.Register.Welcome(), err
}

func (p *Links) doVerify(_ http.ResponseWriter, r *http.Request, in map[string]string) (string, error) {
	who := p.whoMay(r) // whoever is signed in is not asked for the password
	return "The address is verified.", p.Verify.Do(r.Context(), shown(in), in["password"], who, p.browserOf(r), web.Origin(r))
}

// open shows the form, and nothing else happens.
func (p *Links) open(l linkPage) web.Handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		return render(w, http.StatusOK, "email-link.html", linkView{linkPage: l, In: map[string]string{}, MinLength: p.MinLength})
	}
}

// press does what the button says.
func (p *Links) press(l linkPage) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		in, err := p.form(w, r, "token", "email", "code", "password", "new_password")
		page := linkView{linkPage: l, In: map[string]string{}, MinLength: p.MinLength}
		if err == nil {
			for _, name := range []string{"token", "email", "code"} {
				in[name] = strings.TrimSpace(in[name])
				page.In[name] = in[name]
			}
			if page.Done, err = l.do(p, w, r, in); errors.Is(err, flow.ErrDoneAlready) {
				page.Done, err = flow.ErrDoneAlready.Message, nil
			}
		}
		if err == nil {
			return render(w, http.StatusOK, "email-link.html", page)
		}
		problem := web.ProblemOf(r, err)
		page.Done, page.Problem, page.Field = "", problemText(problem), problem.Field
		if f := fault.As(err); f != nil && (f.Code == flow.ErrPasswordRequired.Code || f.Code == flow.ErrWrongPassword.Code) {
			page.Password = true
		}
		problem.SetHeaders(w.Header())
		if rerr := render(w, problem.Status, "email-link.html", page); rerr != nil {
			return rerr
		}
		return err
	}
}

// changePassword is where password managers send people (RFC 8615, "A well-known
// URL for changing passwords").
func (p *Links) changePassword(w http.ResponseWriter, _ *http.Request) error {
	return seeOther(w, "/forgot")
}
