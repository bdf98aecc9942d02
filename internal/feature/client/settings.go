package client

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
)

// Type is what kind of program an application is. It decides what the application may do, so that no unsafe mixture can be
// registered.
type Type string

// The types.
const (
	// Service is a program of its own, which nobody signs in to: it introspects and revokes tokens, and follows revocations.
	Service Type = "service"
	// Web runs on a server, and keeps a secret.
	Web Type = "web"
	// SPA runs in a browser, and keeps none.
	SPA Type = "spa"
	// Native runs on a person's computer or phone, and keeps none.
	Native Type = "native"
	// Device has no browser and no keyboard to speak of: its person lets it in from another (RFC 8628). It keeps no secret.
	Device Type = "device"
	// Guarded stands behind a proxy that asks us about each request (forward-auth), on a host of its own: see guarded.go.
	Guarded Type = "guarded"
)

// Types are all types.
func Types() []Type { return []Type{Service, Web, SPA, Native, Device, Guarded} }

// Public reports whether such an application has no secret (RFC 6749 section 2.1).
func (t Type) Public() bool { return t == SPA || t == Native || t == Device }

// Secretless reports whether such an application has nothing to show who it is.
func (t Type) Secretless() bool { return t.Public() || t == Guarded }

// SignsIn reports whether people sign in to such an application.
func (t Type) SignsIn() bool { return t != Service }

// Settings are what an application may do. All but the keys and the resources are of those that people sign in to.
type Settings struct {
	// Title is what people are shown; the name if it is empty.
	Title string `json:"title,omitempty"`
	// RedirectURIs are where answers go, byte for byte: see [Client.Redirects].
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	// PostLogoutURIs are where a browser may go once it is signed out.
	PostLogoutURIs []string `json:"post_logout_redirect_uris,omitempty"`
	// BackchannelLogoutURI is where it is told that a session has ended (OpenID Connect Back-Channel Logout); empty for nowhere.
	BackchannelLogoutURI string `json:"backchannel_logout_uri,omitempty"`
	// BackchannelLogoutSessionRequired says that it must be told which session it is. It is told in any case.
	BackchannelLogoutSessionRequired bool `json:"backchannel_logout_session_required,omitempty"`
	// FirstParty is the operator's word that this application is theirs: people are not asked for their consent.
	FirstParty bool `json:"first_party,omitempty"`
	// RequireRoles are the roles of which whoever signs in needs one.
	RequireRoles []string `json:"require_roles,omitempty"`
	// RequireACR is how strong a sign-in it takes at the least; empty for any.
	RequireACR string `json:"require_acr,omitempty"`
	// RequirePAR has every request pushed (RFC 9126): what a browser brings of itself is refused.
	RequirePAR bool `json:"require_par,omitempty"`
	// ResponseModes are the ways in which it takes answers; only in the address (query) if it is empty (ASVS 10.4.12).
	ResponseModes []string `json:"response_modes,omitempty"`
	// PKCEOptional lets a web application sign people in without PKCE (RFC 7636), for libraries that can't.
	PKCEOptional bool `json:"pkce_optional,omitempty"`
	// LeanIDToken leaves name and address out of ID tokens: the application asks the userinfo endpoint.
	LeanIDToken bool `json:"lean_id_token,omitempty"`
	// IDTokenAlg is what its ID tokens and logout tokens are signed with: ES256, or RS256 if it is empty.
	IDTokenAlg string `json:"id_token_alg,omitempty"`
	// JWKS are the public keys by which it shows who it is (private_key_jwt, RFC 7523), in the place of a secret.
	JWKS *Keys `json:"jwks,omitempty"`
	// JWKSURI is where it publishes these keys, in the place of JWKS.
	JWKSURI string `json:"jwks_uri,omitempty"`
	// Resources are those that it may ask access tokens for ([Resource]); any if there are none, but for a service.
	Resources []string `json:"resources,omitempty"`
	// DefaultResource is the one that it is taken to ask for where it names none.
	DefaultResource string `json:"default_resource,omitempty"`
	// Scopes are those that it may have; all if there are none.
	Scopes []string `json:"scopes,omitempty"`
	// Serves are the resources that it is the server of: it is told whether tokens for them are good.
	Serves []string `json:"serves,omitempty"`
}

// The response modes: how an answer goes to an application (OAuth 2.0 Multiple Response Types, Form Post Response Mode).
const (
	ModeQuery    = "query"
	ModeFragment = "fragment"
	ModeFormPost = "form_post"
)

// ResponseModes are all response modes.
func ResponseModes() []string { return []string{ModeQuery, ModeFragment, ModeFormPost} }

// Takes reports whether the application takes answers in a response mode.
func (c Client) Takes(mode string) bool {
	if len(c.Settings.ResponseModes) == 0 {
		return mode == ModeQuery
	}
	return slices.Contains(c.Settings.ResponseModes, mode)
}

const (
	mostURIs    = 50
	mostURI     = 2 << 10
	mostTitle   = 100
	mostRoles   = 50
	mostRole    = 64
	mostSetting = 64 << 10
)

var (
	errType = fault.Field("type", "invalid_client_type", "The type is one of: service, web, spa, native, device, guarded.")
	errNone = fault.Field("redirect_uris", "redirect_uri_required",
		"An application that people sign in to needs a redirect URI: where it takes the answer, such as https://app.example.com/callback.")
	errDevice = fault.Field("type", "device_has_no_redirect",
		"A device has no browser: leave redirect_uris, post_logout_redirect_uris, response_modes, require_par and pkce_optional out.")
	errService = fault.Field("type", "service_has_no_settings",
		"Nobody signs in to a service: it has keys (jwks, jwks_uri) and resources, and none of the other settings.")
)

// ParseType reads a type; an empty one is a service's.
func ParseType(s string) (Type, error) {
	if s == "" {
		return Service, nil
	}
	if !slices.Contains(Types(), Type(s)) {
		return "", errType
	}
	return Type(s), nil
}

// Check tells whether an application of a type may have these settings. development allows plain http for every host.
// The faults name the field.
func (s Settings) Check(t Type, development bool) error {
	if err := s.checkKeys(t, development); err != nil {
		return err
	}
	if err := s.checkResources(t); err != nil {
		return err
	}
	if !t.SignsIn() {
		s.JWKS, s.JWKSURI, s.Resources, s.DefaultResource, s.Scopes, s.Serves = nil, "", nil, "", nil, nil
		if !s.empty() {
			return errService
		}
		return nil
	}
	switch {
	case t == Device:
		if len(s.RedirectURIs)+len(s.PostLogoutURIs)+len(s.ResponseModes) > 0 || s.RequirePAR || s.PKCEOptional {
			return errDevice
		}
	case len(s.RedirectURIs) == 0:
		return errNone
	case s.PKCEOptional && t != Web:
		return fault.Field("pkce_optional", "pkce_required", "Only a web application, which has a secret, may go without PKCE.")
	}
	if s.RequirePAR && t == SPA {
		return fault.Field("require_par", "par_not_for_browsers",
			"An application in a browser can't push its requests: no other site's script may call that endpoint.")
	}
	if err := s.checkBackchannel(t, development); err != nil {
		return err
	}
	if t == Guarded {
		if err := s.checkGuarded(); err != nil {
			return err
		}
	}
	for field, uris := range s.lists() {
		for _, uri := range uris {
			if err := checkURI(field, uri, t, development); err != nil {
				return err
			}
		}
	}
	return s.bounds()
}

// Keyed reports whether the application shows who it is with a key.
func (s Settings) Keyed() bool { return s.JWKS != nil || s.JWKSURI != "" }

func (s Settings) checkKeys(t Type, development bool) error {
	switch {
	case s.Keyed() && t.Secretless():
		return errKeysOfPublic
	case s.JWKS != nil && s.JWKSURI != "":
		return errTwoKeys
	case s.JWKSURI != "":
		return checkURI("jwks_uri", s.JWKSURI, SPA, development) // https alone
	}
	return s.JWKS.check()
}

// lists are the addresses, by the names of their fields.
func (s Settings) lists() map[string][]string {
	return map[string][]string{"redirect_uris": s.RedirectURIs, "post_logout_redirect_uris": s.PostLogoutURIs}
}

// bounds tells whether settings are ones for any type.
func (s Settings) bounds() error {
	for field, uris := range s.lists() {
		if len(uris) > mostURIs {
			return fault.Field(field, "too_many_uris", "An application has up to %d of them.", mostURIs)
		}
		if slices.ContainsFunc(uris, func(uri string) bool { return len(uri) > mostURI }) {
			return fault.Field(field, "invalid_redirect_uri", "This address can't be registered: it is longer than 2 KiB.")
		}
	}
	switch {
	case len(s.BackchannelLogoutURI) > mostURI:
		return fault.Field(backchannelField, invalidBackchannel, "This address can't be registered: it is longer than 2 KiB.")
	case len(s.RequireRoles) > mostRoles || slices.ContainsFunc(s.RequireRoles, func(r string) bool { return r == "" || len(r) > mostRole }):
		return fault.Field("require_roles", "invalid_roles", "Name up to %d roles, of up to %d bytes each.", mostRoles, mostRole)
	case len(s.Title) > mostTitle || strings.ContainsFunc(s.Title, control):
		return fault.Field("title", "invalid_title", "A title has up to %d bytes, on one line.", mostTitle)
	case len(s.ResponseModes) > len(ResponseModes()) ||
		slices.ContainsFunc(s.ResponseModes, func(m string) bool { return !slices.Contains(ResponseModes(), m) }):
		return fault.Field("response_modes", "invalid_response_mode", "The response modes are query, fragment and form_post.")
	case !slices.Contains([]string{"", "1fa", "2fa", "phr"}, s.RequireACR):
		return fault.Field("require_acr", "invalid_acr", "Write 1fa, 2fa or phr.")
	case !slices.Contains(append(IDAlgorithms(), ""), s.IDTokenAlg):
		return fault.Field("id_token_alg", "invalid_id_token_alg", "ID tokens are signed with RS256 or ES256.")
	}
	return s.boundResources()
}

// IDAlgorithms are what ID tokens can be signed with, the default first.
func IDAlgorithms() []string { return []string{"RS256", "ES256"} }

// IDAlgorithm is what the application's ID tokens are signed with.
func (s Settings) IDAlgorithm() string { return cmp.Or(s.IDTokenAlg, IDAlgorithms()[0]) }

func (s Settings) empty() bool {
	text, err := s.text()
	return err == nil && text == "{}"
}

// Shown is what people are shown of an application.
func (c Client) Shown() string {
	if c.Settings.Title != "" {
		return c.Settings.Title
	}
	return c.Name
}

func (s Settings) text() (string, error) {
	b, err := json.Marshal(s)
	if err == nil && len(b) > mostSetting {
		err = fault.Field("redirect_uris", "settings_too_large", "All settings of an application together have up to %d KiB.", mostSetting>>10)
	}
	return string(b), err
}

var errSettings = fault.Field("settings", "invalid_settings",
	"The settings are an object with title, redirect_uris, post_logout_redirect_uris, backchannel_logout_uri, "+
		"backchannel_logout_session_required, first_party, require_roles, require_acr, require_par, response_modes, pkce_optional, lean_id_token, "+
		"id_token_alg, jwks, jwks_uri, resources, default_resource, scopes and serves, each of which may be left out.")

// ParseSettings reads settings that somebody sends; nothing is none.
func ParseSettings(raw []byte) (Settings, error) {
	if len(raw) == 0 {
		return Settings{}, nil
	}
	s, err := parseSettings(string(raw))
	if err != nil {
		return Settings{}, errSettings.Because(err)
	}
	if err := s.JWKS.check(); err != nil {
		return s, err
	}
	return s, s.bounds()
}

// parseSettings reads what text wrote, and nothing else.
func parseSettings(text string) (s Settings, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("the settings of an application: %w", err)
	}
	return s, nil
}
