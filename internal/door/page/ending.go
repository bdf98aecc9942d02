package page

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

// ending is how a form ends well: on which page, what that says, and where a
// person goes from there. The page is reached by a redirect, so that to load it again
// sends nothing.
type ending struct {
	path string
	// said is what the page says, which may begin with the welcome of a registration; nil
	// has it say the template's own words.
	said func(welcome string) string
	// asks: the page then asks for the code of the mail. Otherwise it has no form.
	asks bool
	next []next
}

// next is a link to another page.
type next struct{ Path, Text string }

var (
	nextLogin    = next{"/login", "Sign in"}
	nextForgot   = next{"/forgot", "Forgot password"}
	nextRegister = next{"/register", "Create an account"}
	nextVerify   = next{"/verify", "Verify your address"}
	nextReset    = next{"/reset", "Enter the code of the mail"}
	nextAccount  = next{"/account", "Your account"}
)

func says(s string) func(string) string { return func(string) string { return s } }

// The names of the endings, which stand in addresses and in the note.
const (
	stepRegistered = "registered"
	stepResent     = "resent"
	stepVerified   = "verified"
	stepMailed     = "mailed"
	stepReplaced   = "replaced"
	stepExpelled   = "expelled"
	stepUndone     = "undone"
	stepAdmin      = "ready"
	stepKnown      = "known"
	stepSignedOut  = "ended"
)

var endings = map[string]ending{
	stepRegistered: {path: "/verify", said: func(welcome string) string {
		return welcome + " Open the link in the mail, or type its code here."
	},
		asks: true, next: []next{nextLogin, nextForgot}},
	stepResent: {path: "/verify", asks: true, next: []next{nextLogin, nextForgot},
		said: says("If this address has an account and has yet to be verified, a mail is on its way. Open its link, or type its code here.")},
	stepVerified: {path: "/verify", said: says("The address is verified."), next: []next{nextLogin, nextAccount}},
	stepMailed: {path: "/reset", asks: true, next: []next{nextLogin, nextRegister},
		said: says("If this address has an account, a mail is on its way, or was sent a short while ago. Its link works for 30 minutes. Open it, or type the " +
			"mail's code here.")},
	stepReplaced: {path: "/reset", said: says("The new password is set. All sessions have ended."), next: []next{nextLogin}},
	stepExpelled: {path: "/not-me", next: []next{nextForgot},
		said: says("All sessions have ended. Now set a new password by \"Forgot password\", at the address that this mail went to; until then nobody can sign " +
			"in. If the account's address was changed as well, the mail that you get leads back to yours.")},
	stepUndone: {path: "/undo", next: []next{nextReset, nextForgot, nextLogin},
		said: says("The account has its old address again, and all sessions have ended. We sent a mail there with a link to set a new password; until then " +
			"nobody can sign in.")},
	stepAdmin:     {path: "/setup", next: []next{nextLogin}},
	stepSignedOut: {path: "/account", said: says("That session has ended.")},
	stepKnown:     {path: "/unlock", next: []next{nextLogin}},
}

// end leads to the page of an ending.
func (p *Forms) end(w http.ResponseWriter, step, email string) error {
	p.Cookies.PutNote(w, web.Note{Step: step, Email: email})
	return seeOther(w, endings[step].path+"?step="+step)
}

// ended returns the ending that led a browser to this page; ok only where the address
// says so and the browser's note does: nobody else's link makes a page say that something was done.
func (p *Forms) ended(r *http.Request) (e ending, n web.Note, ok bool) {
	n = p.Cookies.Note(r)
	e, ok = endings[n.Step]
	if !ok || r.URL.Query().Get("step") != n.Step || e.path != r.URL.Path {
		return ending{}, n, false
	}
	return e, n, true
}
