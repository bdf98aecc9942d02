package page

import (
	"errors"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// accountPage is where a person lands who signed in with nowhere to return to.
type accountPage struct {
	Account  account.Account
	CSRF     string
	Sessions []sessionView
	Done     string
	Problem  string
}

// sessionView is a place where the account is signed in.
type sessionView struct {
	ID, Device, Network string
	Began, Used         string
	Current             bool
}

// account says who is signed in, and where, and sends others to sign in.
func (p *SignIn) account(w http.ResponseWriter, r *http.Request) error {
	who, err := p.entrance(w, r)
	switch {
	case errors.Is(err, errBounced):
		return nil
	case fault.KindOf(err) == fault.Unauthenticated:
		return seeOther(w, "/login")
	case err != nil:
		return err
	}
	shown := accountPage{}
	if e, _, ok := p.ended(r); ok {
		shown.Done = e.said("")
	}
	return p.showAccount(w, r, http.StatusOK, who, shown)
}

func (p *SignIn) showAccount(w http.ResponseWriter, r *http.Request, status int, who flow.Identity, shown accountPage) (err error) {
	if shown.Account, err = p.Profile.Me(r.Context(), who); err != nil {
		return err
	}
	list, err := p.Profile.Sessions(r.Context(), who)
	if err != nil {
		return err
	}
	const format = "2006-01-02 15:04 UTC"
	for _, s := range list {
		shown.Sessions = append(shown.Sessions, sessionView{
			ID: s.ID, Device: session.DeviceName(s.UserAgent), Network: s.Address,
			Began: s.BeganAt.UTC().Format(format), Used: s.UsedAt.UTC().Format(format), Current: s.ID == who.Session,
		})
	}
	shown.CSRF = p.Cookies.CSRF(who.Session)
	return render(w, status, "account.html", shown)
}

// endSession ends another session of the account (ASVS 10.4.9). One that has ended
// already is what the person wanted.
func (p *SignIn) endSession(w http.ResponseWriter, r *http.Request) error {
	in, err := p.form(w, r, "csrf_token", "session")
	if err != nil {
		return err
	}
	who, err := p.who(w, r)
	if fault.KindOf(err) == fault.Unauthenticated {
		return seeOther(w, "/login")
	}
	if err != nil {
		return err
	}
	if err := p.Cookies.CheckCSRF(r, who.Session, in["csrf_token"]); err != nil {
		// A tab of the session before: it is shown anew, with this one's token.
		if rerr := p.showAccount(w, r, http.StatusForbidden, who, accountPage{Problem: "This page was out of date. Please press the button again."}); rerr != nil {
			return rerr
		}
		return err
	}
	if err := p.SignOut.One(r.Context(), who, in["session"], web.Origin(r)); err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	if in["session"] == who.Session {
		p.Cookies.Clear(w)
		return seeOther(w, "/login")
	}
	return p.end(w, stepSignedOut, "")
}

// logout asks whether to sign out: a link that did so would be anybody's to plant.
func (p *SignIn) logout(w http.ResponseWriter, r *http.Request) error {
	refresh := p.Cookies.Refresh(r)
	if refresh == "" {
		return seeOther(w, "/login")
	}
	return render(w, http.StatusOK, "logout.html", struct{ CSRF string }{p.Cookies.CSRF(p.SignOut.SessionOf(refresh))})
}

// doLogout ends the session of the cookies and takes them away. A form of our own
// pages is enough, as browsers tell by its origin: a tab of the session before has that one's
// token, and a sign-out that fails is worse than one that was forged. A client that tells
// no origin needs the token.
func (p *SignIn) doLogout(w http.ResponseWriter, r *http.Request) error {
	in, err := p.form(w, r, "csrf_token")
	if err != nil {
		return err
	}
	if token := p.Cookies.Refresh(r); token != "" {
		if r.Header["Origin"] == nil && r.Header["Sec-Fetch-Site"] == nil {
			if err := p.Cookies.CheckCSRF(r, p.SignOut.SessionOf(token), in["csrf_token"]); err != nil {
				return err
			}
		}
		err := p.SignOut.ByRefresh(r.Context(), token, web.Origin(r))
		if err != nil && fault.KindOf(err) != fault.Unauthenticated {
			return err
		}
	}
	p.Cookies.Clear(w)
	return seeOther(w, "/login")
}

func seeOther(w http.ResponseWriter, path string) error {
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}
