package api

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// browserOf is what the request's cookies tell of the browser.
func (a *API) browserOf(r *http.Request) *flow.Browser {
	return &flow.Browser{Devices: a.Cookies.Devices(r), Registered: a.Cookies.Registered(r)}
}

// mayBeSignedIn returns who asks, where that is of use and not needed: nobody, if
// there are no credentials, or cookies that don't count for this request.
func (a *API) mayBeSignedIn(r *http.Request) (flow.Identity, error) {
	access, bearer, err := web.Bearer(r)
	if err != nil {
		return flow.Identity{}, err
	}
	if bearer {
		return a.Authenticate.Do(r.Context(), access, web.Origin(r))
	}
	with := a.cookies(r)
	if with.Access+with.Refresh == "" {
		return flow.Identity{}, nil
	}
	who, err := a.Authenticate.Browser(r.Context(), with, web.Origin(r))
	if err != nil || a.Cookies.CheckCSRF(r, who.Session, "") != nil {
		return flow.Identity{}, nil //nolint:nilerr // they count as nobody's
	}
	return who, nil
}

func (a *API) verifyEmail(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Token    string `json:"token"`
		Email    string `json:"email"`
		Code     string `json:"code"`
		Password string `json:"password"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	who, err := a.mayBeSignedIn(r)
	if err != nil {
		return err
	}
	if err := a.Verify.Do(r.Context(), flow.LinkOrCode{Token: in.Token, Email: in.Email, Code: in.Code}, in.Password, who, a.browserOf(r), web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// mailed answers what is the same whether or not a mail was sent.
func mailed(w http.ResponseWriter, message string) error {
	return web.WriteJSON(w, http.StatusAccepted, map[string]string{"message": message})
}

func (a *API) resend(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Email string `json:"email"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	if err := a.Verify.Resend(r.Context(), in.Email, web.Origin(r)); err != nil {
		return err
	}
	return mailed(w, "If this address has an account and has yet to be verified, a mail is on its way.")
}

func (a *API) changeEmail(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Email    string `json:"email"`
		Password string `json:"current_password"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	if err := a.Addresses.Change(r.Context(), who, in.Email, in.Password, a.browserOf(r), web.Origin(r)); err != nil {
		return err
	}
	return mailed(w, "A mail is on its way to the new address. The address changes when the link in it is used.")
}

func (a *API) forgot(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Email string `json:"email"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	if err := a.Passwords.Forgot(r.Context(), in.Email, web.Origin(r)); err != nil {
		return err
	}
	return mailed(w, "If this address has an account, a mail is on its way.")
}

func (a *API) reset(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Token    string `json:"token"`
		Email    string `json:"email"`
		Code     string `json:"code"`
		Password string `json:"new_password"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	if err := a.Passwords.Reset(r.Context(), flow.LinkOrCode{Token: in.Token, Email: in.Email, Code: in.Code}, in.Password, web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) changePassword(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Current string `json:"current_password"`
		New     string `json:"new_password"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	if err := a.Passwords.Change(r.Context(), who, in.Current, in.New, a.browserOf(r), web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
