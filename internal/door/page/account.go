package page

import (
	"errors"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
)

// accountPage is where a person lands who signed in with nowhere to return to.
type accountPage struct {
	Account account.Account
	CSRF    string
}

// account says who is signed in, and sends others to sign in.
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
	me, err := p.Profile.Me(r.Context(), who)
	if err != nil {
		return err
	}
	return render(w, http.StatusOK, "account.html", accountPage{Account: me, CSRF: p.Cookies.CSRF(who.Session)})
}

// doLogout ends the session of the cookies and takes them away.
func (p *SignIn) doLogout(w http.ResponseWriter, r *http.Request) error {
	in, err := p.form(w, r, "csrf_token")
	if err != nil {
		return err
	}
	if token := p.Cookies.Refresh(r); token != "" {
		if err := p.Cookies.CheckCSRF(r, p.SignOut.SessionOf(token), in["csrf_token"]); err != nil {
			return err
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
