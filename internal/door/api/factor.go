package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Factors are what an account shows beside its password, and the second step of a sign-in.
type Factors struct {
	Caller
	Factors *flow.Factors
	Second  *flow.SecondStep
	SignOut *flow.SignOut
}

// Routes are its operations.
func (a *Factors) Routes() web.Routes {
	return web.Routes{
		"POST /v1/login/factor":           a.secondStep,
		"POST /v1/login/factor/unlock":    a.unlock,
		"GET /v1/factors":                 a.signedIn(a.list),
		"POST /v1/factors/mail-code":      a.begins(a.mailCode),
		"POST /v1/factors/totp":           a.begins(a.offer),
		"POST /v1/factors/totp/confirm":   a.confirm,
		"DELETE /v1/factors/totp":         a.signedIn(a.removeApp),
		"POST /v1/factors/recovery-codes": a.signedIn(a.makeCodes),
		"POST /v1/factors/undo":           a.undo,
		"POST /v1/factors/reset/stop":     a.stopReset,
	}
}

// waits answers a sign-in that waits for more. It is an error, so that a client which knows nothing of
// factors fails.
func (a *Caller) waits(w http.ResponseWriter, r *http.Request, waits *flow.Waiting, cookies bool) error {
	return a.waitsWith(w, r, waits, cookies, nil)
}

// waitsWith is waits for who is told recovery codes by it, which are shown once.
func (a *Caller) waitsWith(w http.ResponseWriter, r *http.Request, waits *flow.Waiting, cookies bool, codes []string) error {
	members := map[string]any{"expires_in": seconds(waits.Life)}
	switch {
	case waits.Agree != nil:
		members["documents"] = answerAsked(waits.Agree)
	case !waits.Enrol:
		members["factors"] = waits.Ways
	}
	if codes != nil {
		members["recovery_codes"] = codes
	}
	if !waits.SkipUntil.IsZero() {
		members["may_skip_until"] = stamp(waits.SkipUntil)
	}
	if !waits.ResetDue.IsZero() {
		members["reset_due_at"] = stamp(waits.ResetDue)
	}
	if cookies {
		a.Cookies.PutPending(w, waits.Token, waits.Life)
	} else {
		members["pending_token"] = waits.Token
	}
	return web.WriteProblemWith(w, r, waits, members)
}

// secondStep ends a sign-in that has shown its password.
func (a *Factors) secondStep(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		PendingToken string          `json:"pending_token" most:"128"`
		Code         string          `json:"code" most:"64"`
		RecoveryCode string          `json:"recovery_code" most:"128"`
		Passkey      json.RawMessage `json:"passkey"`
		Skip         bool            `json:"skip"`
		Cookies      bool            `json:"cookies"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	token, fromCookie, err := a.pending(r, in.PendingToken, in.Cookies)
	if err != nil {
		return err
	}
	browser, err := a.signInBrowser(r, in.Cookies)
	if err != nil {
		return err
	}
	end := a.Second.Do
	if in.Skip && in.Code == "" && in.RecoveryCode == "" && len(in.Passkey) == 0 {
		end = a.Second.Skip
	}
	t, err := end(r.Context(), flow.Shown{
		Token: token, Code: in.Code, RecoveryCode: in.RecoveryCode, Passkey: in.Passkey, Browser: browser, Cookies: in.Cookies,
	}, web.Origin(r))
	if errors.Is(err, factor.ErrOver) && fromCookie {
		a.Cookies.PutPending(w, "", 0)
	}
	var waits *flow.Waiting
	if errors.As(err, &waits) {
		return a.waits(w, r, waits, fromCookie)
	}
	var left *flow.TriesLeft
	if errors.As(err, &left) {
		return web.WriteProblemWith(w, r, err, map[string]any{"tries_left": left.N})
	}
	if err != nil {
		return err
	}
	if fromCookie {
		a.Cookies.PutPending(w, "", 0)
	}
	return a.stepped(w, r, t, browser, in.Cookies)
}

// stepped answers a sign-in that is done.
func (a *Factors) stepped(w http.ResponseWriter, r *http.Request, t flow.Stepped, browser *flow.Browser, cookies bool) error {
	if browser.Known.Value != "" {
		a.Cookies.PutDevice(w, r, browser.Known.Name, browser.Known.Value, browser.Known.Life)
	}
	if !cookies {
		out := answerTokens(t.Tokens)
		out.RecoveryCodesLeft = t.RecoveryCodesLeft
		return web.WriteJSON(w, http.StatusOK, out)
	}
	a.SignOut.Before(r.Context(), browser, web.Origin(r))
	out := a.answerCookies(w, t.Tokens)
	out.RecoveryCodesLeft = t.RecoveryCodesLeft
	return web.WriteJSON(w, http.StatusOK, out)
}

// pending returns the token of a pending sign-in: that of the body, or of the cookie, which counts for
// requests of our pages and of applications alone.
func (a *Caller) pending(r *http.Request, body string, cookies bool) (token string, fromCookie bool, err error) {
	if body == "" {
		body = a.Cookies.Pending(r)
		fromCookie = body != ""
	}
	if fromCookie || cookies {
		err = a.Cookies.CheckCaller(r)
	}
	return body, fromCookie, err
}

func (a *Factors) unlock(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		PendingToken string `json:"pending_token" most:"128"`
	}
	if err := web.DecodeOptional(w, r, &in); err != nil {
		return err
	}
	token, _, err := a.pending(r, in.PendingToken, false)
	if err != nil {
		return err
	}
	if err := a.Second.Unlock(r.Context(), token, web.Origin(r)); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusAccepted, map[string]string{"message": "If the codes of this account are locked, its owner gets a mail with a link."})
}

// appAnswer is an app that shows codes, as its owner sees it.
type appAnswer struct {
	AddedAt string `json:"added_at"`
	UsedAt  string `json:"used_at,omitempty"`
}

func (a *Factors) list(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	o, err := a.Factors.List(r.Context(), who)
	if err != nil {
		return err
	}
	state, err := a.Factors.Password(r.Context(), who)
	if err != nil {
		return err
	}
	out := struct {
		TOTP              *appAnswer      `json:"totp,omitempty"`
		Passkeys          []passkeyAnswer `json:"passkeys"`
		RecoveryCodesLeft int             `json:"recovery_codes_left"`
		Password          bool            `json:"password"`
	}{Password: state.Has, Passkeys: answerKeys(o.Keys, a.Factors.Keys.RPID()), RecoveryCodesLeft: o.CodesLeft}
	if o.App != nil {
		out.TOTP = &appAnswer{AddedAt: stamp(o.App.MadeAt), UsedAt: stampOrNone(o.App.UsedAt)}
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// stampOrNone is stamp for a time that may not be.
func stampOrNone(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return stamp(t)
}

// enrolled is a handler for whoever adds a factor. cookies is whether the tokens are kept in cookies.
type enrolled func(w http.ResponseWriter, r *http.Request, by flow.Enroller, cookies bool) error

// beginning is the body of what comes before the confirmation.
type beginning struct {
	PendingToken string `json:"pending_token" most:"128"`
}

// begins decodes it.
func (a *Factors) begins(next enrolled) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		var in beginning
		if err := web.DecodeOptional(w, r, &in); err != nil {
			return err
		}
		return a.enrolling(w, r, in.PendingToken, false, next)
	}
}

// enrolling lets through who is signed in, or who has shown a password and must add the first factor: with
// the token of the pending sign-in in the body, or with its cookie where there is no session.
func (a *Factors) enrolling(w http.ResponseWriter, r *http.Request, token string, cookies bool, next enrolled) error {
	_, bearer, err := web.Bearer(r)
	if err != nil {
		return err
	}
	session := a.cookies(r)
	if bearer || token == "" && (session.Access+session.Refresh != "" || a.Cookies.Pending(r) == "") {
		return a.signedIn(func(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
			return next(w, r, flow.Enroller{Identity: who}, !bearer)
		})(w, r)
	}
	token, fromCookie, err := a.pending(r, token, cookies)
	if err != nil {
		return err
	}
	return next(w, r, flow.Enroller{Pending: token}, cookies || fromCookie)
}

func (a *Factors) mailCode(w http.ResponseWriter, r *http.Request, by flow.Enroller, _ bool) error {
	request, err := a.Factors.MailCode(r.Context(), by, web.Origin(r))
	if err != nil {
		return err
	}
	return a.mailed(w, r, request, "If a code is needed, it is on its way to the account's address.")
}

func (a *Factors) offer(w http.ResponseWriter, r *http.Request, by flow.Enroller, _ bool) error {
	n, err := a.Factors.Offer(r.Context(), by, web.Origin(r))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, struct {
		Secret    string `json:"secret"`
		URI       string `json:"uri"`
		ExpiresIn int64  `json:"expires_in"`
		MailCode  bool   `json:"mail_code_needed"`
	}{n.Secret, n.URI, seconds(n.Life), n.MailCode})
}

// confirm answers with a new session where it was the first factor.
func (a *Factors) confirm(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		PendingToken string `json:"pending_token" most:"128"`
		Code         string `json:"code" most:"64"`
		MailCode     string `json:"mail_code" most:"64"`
		Request      string `json:"request" most:"64"`
		KeepOthers   bool   `json:"keep_others"`
		Cookies      bool   `json:"cookies"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	return a.enrolling(w, r, in.PendingToken, in.Cookies, func(w http.ResponseWriter, r *http.Request, by flow.Enroller, cookies bool) error {
		return a.confirmed(w, r, by, flow.Confirming{
			Code: in.Code, MailCode: in.MailCode, Requests: a.shown(r, "", "", "", in.Request).Requests,
			KeepOthers: in.KeepOthers, Cookies: cookies,
		})
	})
}

func (a *Factors) confirmed(w http.ResponseWriter, r *http.Request, by flow.Enroller, in flow.Confirming) error {
	browser, err := a.signInBrowser(r, in.Cookies)
	if err != nil {
		return err
	}
	in.Browser = browser
	added, err := a.Factors.Confirm(r.Context(), by, in, web.Origin(r))
	if err != nil {
		return err
	}
	if !added.SignedIn && added.Waits == nil {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return a.added(w, r, by, added, in.Browser, in.Cookies)
}

// added answers with the session of a sign-in that ended by adding a factor.
func (a *Factors) added(w http.ResponseWriter, r *http.Request, by flow.Enroller, added flow.Added, browser *flow.Browser, cookies bool) error {
	if added.Waits != nil {
		return a.waitsWith(w, r, added.Waits, cookies, added.RecoveryCodes)
	}
	if browser.Known.Value != "" {
		a.Cookies.PutDevice(w, r, browser.Known.Name, browser.Known.Value, browser.Known.Life)
	}
	if by.Pending != "" {
		a.Cookies.PutPending(w, "", 0)
	}
	if !cookies {
		out := answerTokens(added.Tokens)
		out.RecoveryCodes = added.RecoveryCodes
		return web.WriteJSON(w, http.StatusOK, out)
	}
	out := a.answerCookies(w, added.Tokens)
	out.RecoveryCodes = added.RecoveryCodes
	return web.WriteJSON(w, http.StatusOK, out)
}

func (a *Factors) removeApp(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		KeepOthers bool `json:"keep_others"`
	}
	if err := web.DecodeOptional(w, r, &in); err != nil {
		return err
	}
	if err := a.Factors.RemoveApp(r.Context(), who, in.KeepOthers, web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *Factors) makeCodes(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	codes, err := a.Factors.MakeCodes(r.Context(), who, web.Origin(r))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string][]string{"recovery_codes": codes})
}

func (a *Factors) undo(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Token    string `json:"token" most:"128"`
		Password string `json:"password"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	request, err := a.Factors.Undo(r.Context(), in.Token, in.Password, a.browserOf(r), web.Origin(r))
	if err == nil {
		a.Cookies.PutRequest(w, r, request, flow.RequestLife) // a mail with a code is on its way
	}
	return did(w, err)
}

func (a *Factors) stopReset(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Token string `json:"token" most:"128"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	return did(w, a.Factors.StopReset(r.Context(), in.Token, web.Origin(r)))
}
