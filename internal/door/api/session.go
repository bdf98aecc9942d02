package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Sessions begin with a sign-in.
type Sessions struct {
	Caller
	SignIn  *flow.SignIn
	Refresh *flow.Refresh
	SignOut *flow.SignOut
	Profile *flow.Profile
}

// Routes are its operations.
func (a *Sessions) Routes() web.Routes {
	return web.Routes{
		"POST /v1/login":           a.login,
		"POST /v1/token/refresh":   a.refresh,
		"POST /v1/logout":          a.logout,
		"POST /v1/logout-all":      a.signedIn(a.logoutAll),
		"GET /v1/sessions":         a.signedIn(a.sessions),
		"DELETE /v1/sessions/{id}": a.signedIn(a.endSession),
	}
}

// tokensAnswer is what a client holds after a sign-in or a refresh (RFC 6749
// section 5.1, and more). Times are in seconds from now.
type tokensAnswer struct {
	AccessToken      string `json:"access_token"`
	TokenType        string `json:"token_type"`
	ExpiresIn        int64  `json:"expires_in"`
	RefreshToken     string `json:"refresh_token"`
	RefreshExpiresIn int64  `json:"refresh_expires_in"`
	SessionID        string `json:"session_id"`
	// RecoveryCodesLeft and RecoveryCodes are told where there is something to tell of them.
	RecoveryCodesLeft *int     `json:"recovery_codes_left,omitempty"`
	RecoveryCodes     []string `json:"recovery_codes,omitempty"`
}

func answerTokens(t flow.Tokens) tokensAnswer {
	return tokensAnswer{
		AccessToken: t.Access, TokenType: "Bearer", ExpiresIn: seconds(t.AccessExpires),
		RefreshToken: t.Refresh, RefreshExpiresIn: seconds(t.RefreshExpires), SessionID: t.Session,
	}
}

func writeTokens(w http.ResponseWriter, t flow.Tokens) error {
	return web.WriteJSON(w, http.StatusOK, answerTokens(t))
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// cookieAnswer is what a browser's script is told of tokens that it can't see.
type cookieAnswer struct {
	ExpiresIn        int64  `json:"expires_in"`
	RefreshExpiresIn int64  `json:"refresh_expires_in"`
	SessionID        string `json:"session_id"`
	CSRFToken        string `json:"csrf_token"`
	// RecoveryCodesLeft and RecoveryCodes are told where there is something to tell of them.
	RecoveryCodesLeft *int     `json:"recovery_codes_left,omitempty"`
	RecoveryCodes     []string `json:"recovery_codes,omitempty"`
}

// writeCookies puts the tokens in cookies instead of the answer.
func (a *Caller) writeCookies(w http.ResponseWriter, t flow.Tokens) error {
	return web.WriteJSON(w, http.StatusOK, a.answerCookies(w, t))
}

func (a *Caller) answerCookies(w http.ResponseWriter, t flow.Tokens) cookieAnswer {
	csrf := a.Cookies.Put(w, web.SessionTokens(t))
	return cookieAnswer{
		ExpiresIn: seconds(t.AccessExpires), RefreshExpiresIn: seconds(t.RefreshExpires), SessionID: t.Session, CSRFToken: csrf,
	}
}

func (a *Sessions) login(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Email    string `json:"email"`
		Password string `json:"password"`
		Cookies  bool   `json:"cookies"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	browser, err := a.signInBrowser(r, in.Cookies)
	if err != nil {
		return err
	}
	t, err := a.SignIn.Do(r.Context(), flow.Credentials{Email: in.Email, Password: in.Password, Browser: browser, Cookies: in.Cookies}, web.Origin(r))
	var waits *flow.Waiting
	if errors.As(err, &waits) {
		return a.waits(w, r, waits, in.Cookies)
	}
	if err != nil {
		return err
	}
	if browser.Known.Value != "" {
		a.Cookies.PutDevice(w, r, browser.Known.Name, browser.Known.Value, browser.Known.Life)
	}
	if !in.Cookies {
		return writeTokens(w, t)
	}
	a.SignOut.Before(r.Context(), browser, web.Origin(r))
	return a.writeCookies(w, t)
}

// signInBrowser is what the cookies tell of the browser of a sign-in. They count for our pages and for
// applications alone; one that keeps the tokens itself is a known device as well. Who wants cookies
// from elsewhere is refused: another site must not sign its visitor in to an account of its own.
func (a *Caller) signInBrowser(r *http.Request, cookies bool) (*flow.Browser, error) {
	browser := &flow.Browser{Bearer: !cookies}
	err := a.Cookies.CheckCaller(r)
	switch {
	case err == nil && cookies:
		browser.Devices, browser.Session = a.Cookies.Devices(r), a.Cookies.Refresh(r)
	case err == nil:
		browser.Devices = a.Cookies.Devices(r)
	case !cookies:
		err = nil
	}
	return browser, err
}

func (a *Sessions) refresh(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := web.DecodeOptional(w, r, &in); err != nil {
		return err
	}
	old, cookie := in.RefreshToken, false
	if old == "" {
		old = a.Cookies.Refresh(r)
		cookie = old != ""
	}
	if cookie {
		if err := a.Cookies.CheckCSRF(r, a.SignOut.SessionOf(old), ""); err != nil {
			return err
		}
	}
	refresh := a.Refresh.Do
	if cookie {
		refresh = a.Refresh.Cookie
	}
	t, err := refresh(r.Context(), old, web.Origin(r))
	if !cookie {
		if err != nil {
			return err
		}
		return writeTokens(w, t)
	}
	if err != nil {
		if fault.KindOf(err) == fault.Unauthenticated {
			a.Cookies.Clear(w)
		}
		return err
	}
	return a.writeCookies(w, t)
}

// logout takes an access token in the header, a refresh token in the body, or
// the cookies. Any that is good is enough, and with several it ends the sessions
// of all.
func (a *Sessions) logout(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := web.DecodeOptional(w, r, &in); err != nil {
		return err
	}
	bearer, ok, refused := web.Bearer(r)
	if !ok && refused == nil && in.RefreshToken == "" {
		return a.logoutCookies(w, r)
	}
	done := false
	for _, t := range []struct {
		token string
		end   func(context.Context, string, event.Origin) error
	}{{in.RefreshToken, a.SignOut.ByRefresh}, {bearer, a.SignOut.ByAccess}} {
		if t.token == "" {
			continue
		}
		err := t.end(r.Context(), t.token, web.Origin(r))
		switch {
		case err == nil:
			done = true
		case fault.KindOf(err) == fault.Unauthenticated:
			refused = err
		default:
			return err
		}
	}
	if !done {
		return refused
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// logoutCookies ends the session of the cookies and takes them away. The
// refresh token tells the session: it outlives the access token.
func (a *Sessions) logoutCookies(w http.ResponseWriter, r *http.Request) error {
	token := a.Cookies.Refresh(r)
	if token == "" {
		return errNothingToEnd
	}
	if err := a.Cookies.CheckCSRF(r, a.SignOut.SessionOf(token), ""); err != nil {
		return err
	}
	if err := a.SignOut.ByRefresh(r.Context(), token, web.Origin(r)); err != nil {
		return err
	}
	a.Cookies.Clear(w)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

var errNothingToEnd = fault.New(fault.Unauthenticated, "not_signed_in",
	"Signing out needs a token of the session: an access token in the Authorization header, a refresh_token in the body, or the session's cookies.")

func (a *Sessions) logoutAll(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		KeepCurrent bool `json:"keep_current"`
	}
	if err := web.DecodeOptional(w, r, &in); err != nil {
		return err
	}
	if err := a.SignOut.All(r.Context(), who, in.KeepCurrent, web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// sessionAnswer is a living session as its owner sees it.
type sessionAnswer struct {
	ID        string `json:"id"`
	Device    string `json:"device"`
	UserAgent string `json:"user_agent"`
	Network   string `json:"network"`
	First     string `json:"first_network"`
	FirstUsed string `json:"first_used_at"`
	LastUsed  string `json:"last_used_at"`
	ExpiresAt string `json:"expires_at"`
	Current   bool   `json:"current"`
}

func (a *Sessions) sessions(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	list, err := a.Profile.Sessions(r.Context(), who)
	if err != nil {
		return err
	}
	out := make([]sessionAnswer, 0, len(list))
	for _, s := range list {
		out = append(out, sessionAnswer{
			ID: s.ID, Device: session.DeviceName(s.UserAgent), UserAgent: s.UserAgent, Network: s.Address, First: s.FirstAddress,
			FirstUsed: stamp(s.BeganAt), LastUsed: stamp(s.UsedAt), ExpiresAt: stamp(s.EndsAt), Current: s.ID == who.Session,
		})
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"sessions": out})
}

func (a *Sessions) endSession(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	if err := a.SignOut.One(r.Context(), who, r.PathValue("id"), web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
