package page

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Enrol is where somebody adds a factor: on the way in, where their account must have one, or as a person who is
// signed in.
type Enrol struct {
	Entrance
	Factors *flow.Factors
	Second  *flow.SecondStep
	SignOut *flow.SignOut
}

// The paths of the two.
const (
	enrolPath   = "/login/enrol"
	factorsPath = "/account/factors"
)

// Routes are its pages.
func (p *Enrol) Routes() web.Routes {
	return web.Routes{
		"GET " + enrolPath:             p.open,
		"POST " + enrolPath:            p.do,
		"GET " + factorsPath:           p.openOwn,
		"POST " + factorsPath:          p.doOwn,
		"POST /account/recovery-codes": p.download,
	}
}

// errNothingPending is for a browser that has no sign-in under way.
var errNothingPending = fault.New(fault.Invalid, "nothing_pending", "There is no sign-in that waits. Please begin with your password.")

// enrolPage is what the page shows.
type enrolPage struct {
	// Action is where its forms go; Own says that it is the page of somebody who is signed in.
	Action string
	Own    bool
	// Mails says that a mailed code is asked for too.
	Mails bool
	// Over says that there is no sign-in that waits.
	Over bool
	// Begins says that the account has no password, and begins with a passkey.
	Begins bool
	// Later is until when it can be put off; zero if it can't be.
	Later time.Time
	// Keys says that it may be a passkey, KeyOnly that it must, and Key that one is asked for now.
	Keys, KeyOnly, Key bool
	// Secret is for typing, in groups of four; QR for the phone's camera, and a link for the phone itself.
	Secret string
	QR     ui.QR
}

// codesPage shows recovery codes, once. To is where it goes on; Bare says that the account has no password.
type codesPage struct {
	Codes []string
	To    string
	Bare  bool
}

// open says what is asked for. Nothing is done when a page is loaded: the secret comes with the
// button.
func (p *Enrol) open(w http.ResponseWriter, r *http.Request) error {
	shown, err := p.begun(r)
	if err != nil {
		return err
	}
	if shown.Over && p.doneElsewhere(r) {
		return seeOther(w, p.Cookies.ReturnTo(p.Cookies.Returning(r), home))
	}
	return p.show(w, http.StatusOK, p.onward(r), "enrol", shown)
}

// onward is the view of a page on the way in, whose forms may lead to where the sign-in was asked for.
func (p *Enrol) onward(r *http.Request) *ui.View {
	v := p.view(r)
	v.FormTo = p.formTo(r, p.Cookies.ReturnTo(p.Cookies.Returning(r), home))
	return v
}

// begun is the page before anything was done on it.
func (p *Enrol) begun(r *http.Request) (shown enrolPage, err error) {
	shown.Action = enrolPath
	shown.Begins = p.Cookies.Note(r).Step == stepPasskey
	by := flow.Enroller{Pending: p.Cookies.Pending(r)}
	if by.Pending == "" {
		shown.Over = true
		return shown, nil
	}
	may, err := p.Factors.May(r.Context(), by)
	if errors.Is(err, factor.ErrOver) {
		shown.Over = true
		return shown, nil
	}
	shown.Keys, shown.KeyOnly, shown.Mails, shown.Begins, shown.Later = may.Keys, !may.App, may.MailCode, may.Begins, may.SkipUntil
	shown.Key = shown.KeyOnly && !shown.Mails // there is nothing to choose
	return shown, err
}

// doneElsewhere reports whether another tab of this browser has ended the sign-in: the cookie that waited is gone, and
// somebody is signed in.
func (p *Enrol) doneElsewhere(r *http.Request) bool {
	return p.Cookies.Pending(r) == "" && p.whoMay(r).Account != ""
}

// do shows a secret and sends the code, or puts the app in force.
func (p *Enrol) do(w http.ResponseWriter, r *http.Request) error {
	v := p.onward(r)
	shown, err := p.begun(r)
	if err != nil {
		return err
	}
	in, err := p.form(w, r, "code", "mail_code", "begin", "passkey", "later")
	if err != nil {
		return p.refuse(w, r, v, shown, err)
	}
	by := flow.Enroller{Pending: p.Cookies.Pending(r)}
	if by.Pending == "" {
		if p.doneElsewhere(r) {
			return seeOther(w, p.Cookies.ReturnTo(p.Cookies.Returning(r), home))
		}
		shown.Over = true
		return p.refuse(w, r, v, shown, errNothingPending)
	}
	switch {
	case in["later"] != "":
		return p.later(w, r, v, by, shown)
	case in["begin"] == "passkey":
		return p.beginKey(w, r, v, by, shown)
	case in["begin"] != "":
		return p.begin(w, r, v, by, shown)
	}
	var added flow.Added
	if in["passkey"] != "" || shown.Begins {
		shown.Key = true
		if added, err = p.addKey(w, r, by, in); err != nil {
			shown.Over = errors.Is(err, factor.ErrOver)
			return p.refuse(w, r, v, shown, err)
		}
	} else if added, err = p.confirm(w, r, by, in); err != nil {
		return p.again(w, r, v, by, shown, err)
	}
	to := p.Cookies.ReturnTo(p.Cookies.Returning(r), home)
	if added.Waits != nil {
		to = agreePath
	} else {
		p.Cookies.PutPending(w, "", 0)
		p.Cookies.ClearReturnTo(w, r)
		to = p.Asks.signedIn(to, added.Tokens.Session)
	}
	if !added.First {
		return seeOther(w, to)
	}
	return p.show(w, http.StatusOK, v, "codes", codesPage{Codes: added.RecoveryCodes, To: to, Bare: shown.Begins})
}

// confirm puts the app in force. For a first factor the browser gets a new session, in the place of the one before.
func (p *Enrol) confirm(w http.ResponseWriter, r *http.Request, by flow.Enroller, in map[string]string) (flow.Added, error) {
	browser := p.signingIn(r)
	added, err := p.Factors.Confirm(r.Context(), by, flow.Confirming{
		Code: strings.TrimSpace(in["code"]), MailCode: strings.TrimSpace(in["mail_code"]), Requests: p.Cookies.Requests(r), Browser: browser, Cookies: true,
	}, web.Origin(r))
	if err == nil {
		p.entered(w, r, added, browser)
	}
	return added, err
}

// addKey adds a passkey.
func (p *Enrol) addKey(w http.ResponseWriter, r *http.Request, by flow.Enroller, in map[string]string) (flow.Added, error) {
	browser := p.signingIn(r)
	added, err := p.Factors.AddKey(r.Context(), by, flow.AddingKey{
		Credential: []byte(in["passkey"]), MailCode: strings.TrimSpace(in["mail_code"]), Requests: p.Cookies.Requests(r), Browser: browser, Cookies: true,
	}, web.Origin(r))
	if err == nil {
		p.entered(w, r, added, browser)
	}
	return added, err
}

// later puts it off, and goes on.
func (p *Enrol) later(w http.ResponseWriter, r *http.Request, v *ui.View, by flow.Enroller, shown enrolPage) error {
	browser := p.signingIn(r)
	t, err := p.Second.Skip(r.Context(), flow.Shown{Token: by.Pending, Browser: browser, Cookies: true}, web.Origin(r))
	var waits *flow.Waiting
	if errors.As(err, &waits) && waits.Agree != nil {
		p.Cookies.PutPending(w, waits.Token, waits.Life)
		return seeOther(w, agreePath)
	}
	if err != nil {
		shown.Over, shown.Later = errors.Is(err, factor.ErrOver), time.Time{}
		return p.refuse(w, r, v, shown, err)
	}
	to := p.Cookies.ReturnTo(p.Cookies.Returning(r), home)
	p.Cookies.PutPending(w, "", 0)
	p.Cookies.ClearReturnTo(w, r)
	p.entered(w, r, flow.Added{SignedIn: true, Tokens: t.Tokens}, browser)
	return seeOther(w, p.Asks.signedIn(to, t.Tokens.Session))
}

// beginKey sends the code that is asked for beside a passkey, and asks for both.
func (p *Enrol) beginKey(w http.ResponseWriter, r *http.Request, v *ui.View, by flow.Enroller, shown enrolPage) error {
	if shown.Mails {
		request, err := p.Factors.MailCode(r.Context(), by, web.Origin(r))
		if err = p.asked(w, r, request, err); err != nil {
			return p.refuse(w, r, v, shown, err)
		}
	}
	shown.Key = true
	return p.show(w, http.StatusOK, v, "enrol", shown)
}

// entered gives the browser the session of a sign-in that is done, in the place of the one before.
func (p *Enrol) entered(w http.ResponseWriter, r *http.Request, added flow.Added, browser *flow.Browser) {
	if added.Waits != nil {
		p.Cookies.PutPending(w, added.Waits.Token, added.Waits.Life)
	}
	if !added.SignedIn {
		return
	}
	p.SignOut.Before(r.Context(), browser, web.Origin(r))
	p.Cookies.PutDevice(w, r, browser.Known.Name, browser.Known.Value, browser.Known.Life)
	p.Cookies.Put(w, web.SessionTokens(added.Tokens))
}

// begin shows a new secret, and sends the code that is asked for beside that of a first app.
func (p *Enrol) begin(w http.ResponseWriter, r *http.Request, v *ui.View, by flow.Enroller, shown enrolPage) error {
	n, err := p.Factors.Offer(r.Context(), by, web.Origin(r))
	if err == nil && n.MailCode {
		request, failed := p.Factors.MailCode(r.Context(), by, web.Origin(r))
		err = p.asked(w, r, request, failed)
	}
	if err != nil {
		shown.Over = errors.Is(err, factor.ErrOver)
		return p.refuse(w, r, v, shown, err)
	}
	if shown, err = shown.offered(n); err != nil {
		return err
	}
	return p.show(w, http.StatusOK, v, "enrol", shown)
}

// offered is the page with a secret that waits for its first code.
func (e enrolPage) offered(n flow.NewApp) (enrolPage, error) {
	code, err := ui.NewQR(n.URI)
	var groups []string
	for s := n.Secret; s != ""; {
		m := min(4, len(s))
		groups, s = append(groups, s[:m]), s[m:]
	}
	e.Secret, e.QR, e.Mails = strings.Join(groups, " "), code, n.MailCode
	return e, err
}

// again shows the same secret with what is wrong.
func (p *Enrol) again(w http.ResponseWriter, r *http.Request, v *ui.View, by flow.Enroller, shown enrolPage, why error) error {
	if errors.Is(why, factor.ErrOver) {
		p.Cookies.PutPending(w, "", 0)
		shown.Over = true
		return p.refuse(w, r, v, shown, why)
	}
	n, err := p.Factors.Offered(r.Context(), by)
	if err != nil {
		return p.refuse(w, r, v, shown, why) // it begins again
	}
	if shown, err = shown.offered(n); err != nil {
		return err
	}
	return p.refuse(w, r, v, shown, why)
}

// refuse shows the page with what is wrong, and returns the error for the log.
func (p *Enrol) refuse(w http.ResponseWriter, r *http.Request, v *ui.View, shown enrolPage, err error) error {
	problem := p.blame(v, r, err)
	return p.fail(w, v, "enrol", shown, problem, err)
}
