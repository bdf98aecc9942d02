package api

import (
	"errors"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Passwords are set, and set anew by who has forgotten one.
type Passwords struct {
	Caller
	Passwords *flow.Passwords
	Factors   *flow.Factors
	Strength  *flow.Strength
}

// Routes are its operations.
func (a *Passwords) Routes() web.Routes {
	return web.Routes{
		"POST /v1/password/strength": a.strength,
		"POST /v1/password/forgot":   a.forgot,
		"POST /v1/password/reset":    a.reset,
		"POST /v1/password/change":   a.signedIn(a.changePassword),
		"DELETE /v1/password":        a.signedIn(a.removePassword),
	}
}

// Addresses are verified and changed, and given back.
type Addresses struct {
	Caller
	Verify    *flow.Verify
	Addresses *flow.Addresses
	NotMe     *flow.NotMe
}

// Routes are its operations.
func (a *Addresses) Routes() web.Routes {
	return web.Routes{
		"POST /v1/email/verify": a.verifyEmail,
		"POST /v1/email/resend": a.resend,
		"POST /v1/email/change": a.signedIn(a.changeEmail),
		"POST /v1/email/undo":   a.undoEmail,
		"POST /v1/not-me":       a.notMe,
	}
}

// browserOf is what the request's cookies tell of the browser.
func (a *Caller) browserOf(r *http.Request) *flow.Browser {
	return &flow.Browser{Devices: a.Cookies.Devices(r), Registered: a.Cookies.Registered(r)}
}

// mayBeSignedIn returns who asks, where that is of use and not needed: nobody, if
// there are no credentials, or cookies that don't count for this request.
func (a *Caller) mayBeSignedIn(r *http.Request) (flow.Identity, error) {
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

func (a *Addresses) verifyEmail(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Token    string `json:"token" most:"128"`
		Email    string `json:"email"`
		Code     string `json:"code" most:"64"`
		Request  string `json:"request" most:"64"`
		Password string `json:"password"`
		Cookies  bool   `json:"cookies"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	who, err := a.mayBeSignedIn(r)
	if err == nil && in.Cookies {
		err = a.Cookies.CheckCaller(r)
	}
	if err != nil {
		return err
	}
	begun, err := a.Verify.Do(r.Context(), a.shown(r, in.Token, in.Email, in.Code, in.Request), in.Password, who, a.browserOf(r), web.Origin(r))
	if err != nil || begun.Token == "" {
		return did(w, err)
	}
	return a.begun(w, begun, in.Cookies)
}

// begun answers where an account that has no password goes on to its first passkey.
func (a *Addresses) begun(w http.ResponseWriter, begun flow.Begun, cookies bool) error {
	out := struct {
		PendingToken string `json:"pending_token,omitempty"`
		ExpiresIn    int64  `json:"expires_in"`
	}{begun.Token, seconds(begun.Life)}
	if cookies {
		a.Cookies.PutPending(w, begun.Token, begun.Life)
		out.PendingToken = ""
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// did answers for what a mail's link or code does, once: 204 for the time that it did
// it, and 200 with words for a repetition of that.
func did(w http.ResponseWriter, err error) error {
	if errors.Is(err, flow.ErrDoneAlready) {
		return web.WriteJSON(w, http.StatusOK, map[string]string{"message": flow.ErrDoneAlready.Message})
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// shown is what somebody brings from a mail. That they asked for it shows their
// cookie, or the request that a program was answered.
func (a *Caller) shown(r *http.Request, token, email, code, request string) flow.LinkOrCode {
	return flow.LinkOrCode{Token: token, Email: email, Code: code, Requests: append([]string{request}, a.Cookies.Requests(r)...)}
}

// mailed answers what is the same whether or not a mail was sent: with the request
// that the mail's code is good with, which the browser keeps as well.
func (a *Caller) mailed(w http.ResponseWriter, r *http.Request, request, message string) error {
	a.Cookies.PutRequest(w, r, request, flow.RequestLife)
	return web.WriteJSON(w, http.StatusAccepted, map[string]string{"message": message, "request": request})
}

func (a *Addresses) resend(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Email string `json:"email"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	request, err := a.Verify.Resend(r.Context(), in.Email, web.Origin(r))
	if err != nil {
		return err
	}
	return a.mailed(w, r, request, "If this address has an account and has yet to be verified, a mail is on its way, or was sent a short while ago.")
}

func (a *Addresses) changeEmail(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Email    string `json:"email"`
		Password string `json:"current_password"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	request, err := a.Addresses.Change(r.Context(), who, in.Email, in.Password, a.browserOf(r), web.Origin(r))
	if err != nil {
		return err
	}
	return a.mailed(w, r, request, "A mail is on its way to the new address. The address changes when the link in it is used.")
}

func (a *Passwords) forgot(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Email string `json:"email"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	request, err := a.Passwords.Forgot(r.Context(), in.Email, web.Origin(r))
	if err != nil {
		return err
	}
	return a.mailed(w, r, request, "If this address has an account, a mail is on its way, or was sent a short while ago.")
}

func (a *Passwords) reset(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Token    string `json:"token" most:"128"`
		Email    string `json:"email"`
		Code     string `json:"code" most:"64"`
		Request  string `json:"request" most:"64"`
		Password string `json:"new_password"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	return did(w, a.Passwords.Reset(r.Context(), a.shown(r, in.Token, in.Email, in.Code, in.Request), in.Password, web.Origin(r)))
}

func (a *Addresses) undoEmail(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Token    string `json:"token" most:"128"`
		Password string `json:"password"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	request, err := a.Addresses.Undo(r.Context(), in.Token, in.Password, a.browserOf(r), web.Origin(r))
	if err == nil {
		a.Cookies.PutRequest(w, r, request, flow.RequestLife) // a mail with a code is on its way
	}
	return did(w, err)
}

func (a *Addresses) notMe(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Token           string `json:"token" most:"128"`
		CurrentPassword string `json:"current_password" most:"1024"`
	}
	if err := web.DecodeOptional(w, r, &in); err != nil {
		return err
	}
	if in.Token != "" {
		_, err := a.NotMe.Do(r.Context(), in.Token, web.Origin(r))
		return did(w, err)
	}
	who, err := a.mayBeSignedIn(r)
	if err != nil {
		return err
	}
	if who.Account == "" {
		return flow.Required("token")
	}
	_, err = a.NotMe.Mine(r.Context(), who, in.CurrentPassword, a.browserOf(r), web.Origin(r))
	if _, bearer, _ := web.Bearer(r); !bearer && (err == nil || errors.Is(err, flow.ErrDoneAlready)) {
		a.Cookies.Clear(w)
	}
	return did(w, err)
}

func (a *Passwords) changePassword(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
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

// removePassword takes the password away: passkeys are how its owner signs in from then on.
func (a *Passwords) removePassword(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	if err := web.DecodeOptional(w, r, &struct{}{}); err != nil {
		return err
	}
	err := a.Factors.RemovePassword(r.Context(), who, web.Origin(r))
	if errors.Is(err, flow.ErrPasskeyStepUp) {
		w.Header().Set("WWW-Authenticate", flow.RemovingPassword.Challenge())
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
