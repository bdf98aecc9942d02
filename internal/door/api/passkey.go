package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Passkeys sign in, alone or behind a password, and are added and removed.
type Passkeys struct {
	*Factors
	Alone *flow.PasskeySignIn
	// Party is nil where passkeys are off.
	Party     *factor.Passkeys
	PublicURL string
}

// Routes are its operations.
func (a *Passkeys) Routes() web.Routes {
	return web.Routes{
		"POST /v1/login/passkey/options":           a.options,
		"POST /v1/login/passkey":                   a.signIn,
		"POST /v1/login/factor/options":            a.stepOptions,
		"POST /v1/factors/passkeys/options":        a.begins(a.keyOptions),
		"POST /v1/factors/passkeys":                a.add,
		"PATCH /v1/factors/passkeys/{id}":          a.signedIn(a.rename),
		"DELETE /v1/factors/passkeys/{id}":         a.signedIn(a.remove),
		"POST /v1/factors/passkeys/{id}/reinstate": a.signedIn(a.reinstate),
		"GET /.well-known/webauthn":                a.relatedOrigins,
		"GET /.well-known/passkey-endpoints":       a.endpoints,
	}
}

// passkeyAnswer is a passkey as its owner sees it.
type passkeyAnswer struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	AddedAt string `json:"added_at"`
	UsedAt  string `json:"used_at,omitempty"`
	// Synced says that it may be copied to the person's other devices; Alone that it can sign in without a password.
	Synced bool `json:"synced"`
	Alone  bool `json:"alone"`
	// SuspectAt is when it was suspended; Rests says that it was made for another host.
	SuspectAt string `json:"suspect_at,omitempty"`
	Rests     bool   `json:"rests,omitempty"`
}

func answerKeys(keys []factor.Passkey, rpID string) []passkeyAnswer {
	list := []passkeyAnswer{}
	for _, k := range keys {
		list = append(list, passkeyAnswer{
			ID: k.ID, Name: k.Name, AddedAt: stamp(k.MadeAt), UsedAt: stampOrNone(k.UsedAt), Synced: k.Eligible, Alone: k.Verifies && k.Discoverable,
			SuspectAt: stampOrNone(k.SuspectAt), Rests: k.RPID != rpID,
		})
	}
	return list
}

// publicKey is what browsers' functions are given.
func publicKey(w http.ResponseWriter, options any) error {
	return web.WriteJSON(w, http.StatusOK, map[string]any{"publicKey": options})
}

func (a *Passkeys) options(w http.ResponseWriter, r *http.Request) error {
	if err := web.DecodeOptional(w, r, &struct{}{}); err != nil {
		return err
	}
	options, err := a.Alone.Options()
	if err != nil {
		return err
	}
	return publicKey(w, options)
}

func (a *Passkeys) signIn(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Credential json.RawMessage `json:"credential"`
		Cookies    bool            `json:"cookies"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	browser, err := a.signInBrowser(r, in.Cookies)
	if err != nil {
		return err
	}
	t, err := a.Alone.Do(r.Context(), flow.PasskeyAlone{Passkey: in.Credential, Browser: browser, Cookies: in.Cookies}, web.Origin(r))
	var waits *flow.Waiting
	if errors.As(err, &waits) {
		return a.waits(w, r, waits, in.Cookies)
	}
	if err != nil {
		return err
	}
	return a.stepped(w, r, t, browser, in.Cookies)
}

// stepOptions is for who has shown a password, and has a passkey.
func (a *Passkeys) stepOptions(w http.ResponseWriter, r *http.Request) error {
	var in beginning
	if err := web.DecodeOptional(w, r, &in); err != nil {
		return err
	}
	token, _, err := a.pending(r, in.PendingToken, false)
	if err != nil {
		return err
	}
	options, err := a.Second.PasskeyOptions(r.Context(), token)
	if err != nil {
		return err
	}
	return publicKey(w, options)
}

func (a *Passkeys) keyOptions(w http.ResponseWriter, r *http.Request, by flow.Enroller, _ bool) error {
	n, err := a.Factors.Factors.KeyOptions(r.Context(), by)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"publicKey": n.Options, "mail_code_needed": n.MailCode})
}

// add answers with a new session where the passkey ends a sign-in.
func (a *Passkeys) add(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		PendingToken string          `json:"pending_token" most:"128"`
		Credential   json.RawMessage `json:"credential"`
		Name         string          `json:"name" most:"256"`
		MailCode     string          `json:"mail_code" most:"64"`
		Request      string          `json:"request" most:"128"`
		EndOthers    bool            `json:"end_others"`
		Cookies      bool            `json:"cookies"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	return a.enrolling(w, r, in.PendingToken, in.Cookies, func(w http.ResponseWriter, r *http.Request, by flow.Enroller, cookies bool) error {
		browser, err := a.signInBrowser(r, cookies)
		if err != nil {
			return err
		}
		adding := flow.AddingKey{
			Credential: in.Credential, Name: in.Name, MailCode: in.MailCode, Requests: a.shown(r, "", "", "", in.Request).Requests, EndOthers: in.EndOthers,
			Browser: browser, Cookies: cookies,
		}
		added, err := a.Factors.Factors.AddKey(r.Context(), by, adding, web.Origin(r))
		if err != nil {
			return err
		}
		if !added.SignedIn && added.Waits == nil {
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		return a.added(w, r, by, added, adding.Browser, cookies)
	})
}

func (a *Passkeys) rename(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Name string `json:"name" most:"256"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	if err := a.Factors.Factors.RenameKey(r.Context(), who, r.PathValue("id"), in.Name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *Passkeys) remove(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		KeepOthers bool `json:"keep_others"`
	}
	if err := web.DecodeOptional(w, r, &in); err != nil {
		return err
	}
	if _, err := a.Factors.Factors.RemoveKey(r.Context(), who, r.PathValue("id"), in.KeepOthers, web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *Passkeys) reinstate(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	if err := web.DecodeOptional(w, r, &struct{}{}); err != nil {
		return err
	}
	if err := a.Factors.Factors.ReinstateKey(r.Context(), who, r.PathValue("id"), web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// relatedOrigins names the origins that may use the passkeys of this host (WebAuthn section 5.11).
func (a *Passkeys) relatedOrigins(w http.ResponseWriter, _ *http.Request) error {
	origins := []string{}
	if a.Party != nil {
		for _, o := range a.Party.Party.Origins {
			if strings.HasPrefix(o, "https://") {
				origins = append(origins, o)
			}
		}
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	return web.WriteJSON(w, http.StatusOK, map[string][]string{"origins": origins})
}

// endpoints says where passkeys are added and managed (W3C, A Well-Known URL for Relying Party Passkey Endpoints).
func (a *Passkeys) endpoints(w http.ResponseWriter, _ *http.Request) error {
	at := map[string]string{}
	if a.Party != nil {
		at["enroll"], at["manage"] = a.PublicURL+"/account", a.PublicURL+"/account"
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	return web.WriteJSON(w, http.StatusOK, at)
}
