package api

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Consents are documents, and who agrees to them.
type Consents struct {
	Caller
	Consents *flow.Consents
	Agree    *flow.Agree
	SignOut  *flow.SignOut
}

// Routes are its operations.
func (a *Consents) Routes() web.Routes {
	return web.Routes{
		"GET /v1/documents":              a.documents,
		"GET /v1/documents/{document}":   a.document,
		"POST /v1/login/agree":           a.agree,
		"GET /v1/me/consents":            a.signedIn(a.mine),
		"PUT /v1/me/consents/{document}": a.signedIn(a.change),
	}
}

// documentAnswer is a version of a document.
type documentAnswer struct {
	Name     string            `json:"name"`
	Version  int64             `json:"version"`
	Hash     string            `json:"hash"`
	Since    string            `json:"since"`
	Path     string            `json:"path"`
	Required bool              `json:"required"`
	Texts    map[string]string `json:"texts,omitempty"`
}

func answerDocument(d consent.Document, required bool) documentAnswer {
	return documentAnswer{
		Name: d.Name, Version: d.Version, Hash: hex.EncodeToString(d.Hash), Since: stamp(d.MadeAt), Path: d.Path(), Required: required,
	}
}

// documents lists the versions in force.
func (a *Consents) documents(w http.ResponseWriter, _ *http.Request) error {
	list := []documentAnswer{}
	for _, d := range a.Consents.Library.List() {
		list = append(list, answerDocument(d, a.Consents.Requires(d.Name)))
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"documents": list})
}

// document is one version with its texts: that in force, or an older one.
func (a *Consents) document(w http.ResponseWriter, r *http.Request) error {
	version, err := consent.ParseVersion(web.Parameter(r, "version"))
	if err != nil {
		return err
	}
	d, err := a.Consents.Version(r.Context(), r.PathValue("document"), version)
	if err != nil {
		return err
	}
	out := answerDocument(d, a.Consents.Requires(d.Name))
	out.Texts = d.Texts
	return web.WriteJSON(w, http.StatusOK, out)
}

var errAgreed = fault.Field("agreed", "invalid_agreed", `Write the versions by the documents' names, such as {"terms": 3}.`)

// parseAgreed reads an object of names and versions.
func parseAgreed(raw json.RawMessage) (map[string]int64, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	out := map[string]int64{}
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, errAgreed
	}
	for name, version := range out {
		if version < 1 || version > consent.MostVersion || !consent.IsName(name) {
			return nil, errAgreed
		}
	}
	return out, nil
}

// agree ends a sign-in that has shown all else.
func (a *Consents) agree(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		PendingToken string          `json:"pending_token" most:"128"`
		Agreed       json.RawMessage `json:"agreed"`
		Language     string          `json:"language" most:"35"`
		Cookies      bool            `json:"cookies"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	agreed, err := parseAgreed(in.Agreed)
	if err != nil {
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
	t, err := a.Agree.Do(r.Context(), flow.Agreeing{
		Token: token, Agreed: flow.Agreed{Versions: agreed, Language: in.Language}, Browser: browser, Cookies: in.Cookies,
	}, web.Origin(r))
	if (err == nil || errors.Is(err, factor.ErrOver)) && fromCookie {
		a.Cookies.PutPending(w, "", 0)
	}
	if errors.Is(err, flow.ErrDocumentChanged) {
		return a.askAgain(w, r, token, err)
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

// askAgain tells what is asked for now.
func (a *Consents) askAgain(w http.ResponseWriter, r *http.Request, token string, why error) error {
	asked, err := a.Agree.Asked(r.Context(), token)
	if err != nil {
		return why
	}
	return web.WriteProblemWith(w, r, why, map[string]any{"documents": answerAsked(asked)})
}

func answerAsked(asked []consent.Document) []documentAnswer {
	list := make([]documentAnswer, 0, len(asked))
	for _, d := range asked {
		list = append(list, answerDocument(d, true))
	}
	return list
}

// consentAnswer is one consent, as it was given and perhaps taken back.
type consentAnswer struct {
	Document    string      `json:"document"`
	Version     int64       `json:"version"`
	Hash        string      `json:"hash"`
	Language    string      `json:"language,omitempty"`
	How         consent.How `json:"how"`
	GivenAt     string      `json:"given_at"`
	WithdrawnAt string      `json:"withdrawn_at,omitempty"`
}

func answerConsents(history []consent.Consent) []consentAnswer {
	list := make([]consentAnswer, 0, len(history))
	for _, c := range history {
		out := consentAnswer{
			Document: c.Document, Version: c.Version, Hash: hex.EncodeToString(c.Hash), Language: c.Language, How: c.How, GivenAt: stamp(c.GivenAt),
		}
		if !c.WithdrawnAt.IsZero() {
			out.WithdrawnAt = stamp(c.WithdrawnAt)
		}
		list = append(list, out)
	}
	return list
}

// standingAnswer is a document as a person has it before them.
type standingAnswer struct {
	documentAnswer
	// AgreedVersion and AgreedAt are left out where there is no consent in force.
	AgreedVersion int64  `json:"agreed_version,omitempty"`
	AgreedAt      string `json:"agreed_at,omitempty"`
}

// mine are the documents, and the person's consents.
func (a *Consents) mine(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	standing, history, err := a.Consents.Of(r.Context(), who.Account)
	if err != nil {
		return err
	}
	list := make([]standingAnswer, 0, len(standing))
	for _, s := range standing {
		out := standingAnswer{documentAnswer: answerDocument(s.Document, s.Required)}
		if s.Given != nil {
			out.AgreedVersion, out.AgreedAt = s.Given.Version, stamp(s.Given.GivenAt)
		}
		list = append(list, out)
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"documents": list, "history": answerConsents(history)})
}

// change agrees to the version in force, or takes the consent back. That is idempotent.
func (a *Consents) change(w http.ResponseWriter, r *http.Request, who flow.Identity) error {
	var in struct {
		Agreed   *bool  `json:"agreed"`
		Version  int    `json:"version"`
		Language string `json:"language" most:"35"`
	}
	if err := web.Decode(w, r, &in); err != nil {
		return err
	}
	name := r.PathValue("document")
	switch {
	case in.Agreed == nil:
		return fault.Field("agreed", "required", "This field is required.")
	case !consent.IsName(name):
		return consent.ErrNoDocument
	case !*in.Agreed:
		if err := a.Consents.Withdraw(r.Context(), who, name, web.Origin(r)); err != nil {
			return err
		}
	case in.Version < 1, in.Version > consent.MostVersion:
		return consent.ErrVersion
	default:
		agreed := flow.Agreed{Versions: map[string]int64{name: int64(in.Version)}, Language: in.Language}
		if err := a.Consents.Agree(r.Context(), who, agreed, web.Origin(r)); err != nil {
			return err
		}
	}
	return a.mine(w, r, who)
}
