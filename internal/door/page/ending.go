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
	// title and text are keys: of the heading, and of what is said below it. note is the key of what is said
	// first, where the heading says what is left to do.
	title, text, note string
	// asks: the page then asks for the code of the email. Otherwise it has no form.
	asks bool
	next []next
}

// next is a link to another page, by the key of what it says; href is what a text's own link leads to.
type next struct{ Path, Key string }

var (
	nextLogin   = next{"/login", "sign-in"}
	nextForgot  = next{"/forgot", "forgot.title"}
	nextAccount = next{"/account", "go-account"}
	nextCode    = next{"/reset", "code.label"}
	nextByMail  = next{"/forgot", "enrol.by-mail"}
)

// The names of the endings, which stand in addresses and in the note.
const (
	stepRegistered = "registered"
	stepResent     = "resent"
	stepVerified   = "verified"
	stepBefore     = "verified-before"
	stepMailed     = "mailed"
	stepReplaced   = "replaced"
	stepExpelled   = "expelled"
	stepUndone     = "undone"
	stepTaken      = "taken"
	stepKept       = "kept"
	stepAdmin      = "ready"
	stepKnown      = "known"
	stepSignedOut  = "ended"
	stepAlone      = "alone"
	stepSaved      = "saved"
	stepMoving     = "moving"
	stepPassword   = "password"
	stepCoded      = "coded"
	stepKeyAdded   = "passkey"
	stepKeyGone    = "passkey-gone"
	stepFactor     = "factor"
	stepFactorGone = "factor-gone"
	stepAgreed     = "agreed"
	stepWithdrawn  = "withdrawn"
	stepAppGone    = "application-gone"
	stepPasskey    = "first-passkey"
	stepNone       = "no-password"
	stepLinked     = "linked"
	stepUnlinked   = "unlinked"
)

var endings = map[string]ending{
	stepRegistered: {path: "/verify", title: "verify.check", text: "verify.registered", asks: true},
	stepResent:     {path: "/verify", title: "verify.check", text: "verify.resent", asks: true},
	stepVerified:   {path: "/verify", title: "verify.done", text: "verify.done-text", next: []next{nextLogin, nextAccount}},
	stepBefore:     {path: "/verify", title: "verify.done", text: "verify.before", next: []next{nextLogin, nextByMail}},
	stepMailed:     {path: "/reset", title: "verify.check", text: "forgot.sent", asks: true},
	stepReplaced:   {path: "/reset", title: "reset.done", text: "reset.done-text", next: []next{nextLogin}},
	stepExpelled:   {path: "/not-me", title: "not-me.done", note: "not-me.done-note", text: "not-me.done-text", next: []next{nextForgot}},
	stepUndone:     {path: "/undo", title: "undo.done", text: "undo.done-text", next: []next{nextCode, nextForgot, nextLogin}},
	stepTaken:      {path: "/undo-factor", title: "undo-factor.done", text: "undo-factor.done-text", next: []next{nextCode, nextForgot, nextLogin}},
	stepKept:       {path: "/stop-reset", title: "stop-reset.done", text: "stop-reset.done-text", next: []next{nextLogin}},
	stepAdmin:      {path: "/setup", title: "setup.done", text: "setup.done-text", next: []next{nextLogin}},
	stepKnown:      {path: "/unlock", title: "unlock.done", text: "unlock.done-text", next: []next{nextLogin}},
	stepSignedOut:  {path: "/account", text: "done.session"},
	stepAlone:      {path: "/account", text: "done.sessions"},
	stepSaved:      {path: "/account", text: "done.profile"},
	stepMoving:     {path: "/account", text: "done.address"},
	stepPassword:   {path: "/account", text: "done.password"},
	stepCoded:      {path: "/account", text: "done.coded"},
	stepKeyAdded:   {path: "/account", text: "done.passkey"},
	stepKeyGone:    {path: "/account", text: "done.passkey-gone"},
	stepFactor:     {path: "/account", text: "done.factor"},
	stepPasskey:    {path: enrolPath},
	stepNone:       {path: "/account", text: "done.no-password"},
	stepFactorGone: {path: "/account", text: "done.factor-removed"},
	stepAgreed:     {path: "/account", text: "done.agreed"},
	stepWithdrawn:  {path: "/account", text: "done.withdrawn"},
	stepLinked:     {path: "/account", text: "done.linked"},
	stepUnlinked:   {path: "/account", text: "done.unlinked"},
	stepAppGone:    {path: "/account", text: "done.app-removed"},
}

// end leads to the page of an ending.
func (p *Forms) end(w http.ResponseWriter, step, email string) error {
	return p.endWith(w, web.Note{Step: step, Email: email})
}

func (p *Forms) endWith(w http.ResponseWriter, n web.Note) error {
	p.Cookies.PutNote(w, n)
	return seeOther(w, endings[n.Step].path+"?step="+n.Step)
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

// donePage is a page after a form that went well.
type donePage struct {
	ending
	Email string
	// More says what is left to do, by its key.
	More string
	Next []next
	// Signal is what the browser is told about passkeys.
	Signal passkeySignal
}

// Title, Text and Note are the keys.
func (d donePage) Title() string { return d.title }

// Text is the key of what is said below the heading.
func (d donePage) Text() string { return d.text }

// Note is the key of what is said first.
func (d donePage) Note() string { return d.note }

// showDone shows the page of an ending that has no form.
func (p *Forms) showDone(w http.ResponseWriter, r *http.Request, e ending, n web.Note, s passkeySignal) error {
	d := donePage{ending: e, Email: n.Email, Next: e.next, Signal: s}
	if e.note != "" {
		d.More = "not-me.next"
	}
	return p.show(w, http.StatusOK, p.view(r), "done", d)
}
