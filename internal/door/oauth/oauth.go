// Package oauth is the door for applications that people sign in to: the endpoints of OAuth 2.0 and OpenID Connect that programs
// call. What people see of them, the authorization and the end of a session, are pages (package page).
//
// Its words are OAuth's: form bodies, and errors with the member error (RFC 6749 section 5.2), as client libraries read them.
package oauth

import (
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/openid"
)

// Provider has the endpoints.
type Provider struct {
	// Issuer is PUBLIC_URL.
	Issuer       string
	Clients      *flow.AuthenticateClient
	Authorize    *openid.Authorize
	Exchange     *openid.Exchange
	Credentials  *openid.Credentials
	Device       *openid.Device
	Register     *openid.Register
	UserInfo     *openid.UserInfo
	Applications *openid.Applications
	// Service answers what a service asks at the endpoints that it shares with these.
	Service Service
}

// Service is what services may ask of any session's tokens.
type Service interface {
	Introspect(w http.ResponseWriter, r *http.Request, by client.Client, token string) error
	Revoke(w http.ResponseWriter, r *http.Request, by client.Client, token string) error
}

// Routes are its endpoints.
func (p *Provider) Routes() web.Routes {
	return web.Routes{
		"POST /oauth2/par":   p.push,
		"POST /oauth2/token": p.token,

		"POST /oauth2/device_authorization": p.device,
		"POST /oauth2/register":             p.register,
		"GET /oauth2/userinfo":              p.userInfo,
		"POST /oauth2/userinfo":             p.userInfo,
		"POST /oauth2/introspect":           p.introspect,
		"POST /oauth2/revoke":               p.revoke,
	}
}

var (
	errTwoMethods = fault.New(fault.Invalid, "invalid_request",
		"Show who you are in one way: with HTTP Basic authentication, with client_id and client_secret in the body, or with a client_assertion.")
	errAssertionType = fault.New(fault.Invalid, "invalid_request", "client_assertion_type must be "+client.AssertionType+".")
	errQuery         = fault.New(fault.Invalid, "invalid_request", "Parameters belong into the body, not into the address.")
)

// credentials are the parameters by which an application shows who it is.
var credentials = []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"}

// authenticate tells which application asks, by the Authorization header or by the body (RFC 6749 section 2.3.1, RFC 7523 section 2.2). It comes before
// anything else is looked at, so that a wrong secret spends no code.
func (p *Provider) authenticate(w http.ResponseWriter, r *http.Request, in map[string]string) (client.Client, error) {
	c, err := p.shown(r, in)
	if fault.KindOf(err) == fault.Unauthenticated {
		web.ChallengeBasic(w.Header())
	}
	return c, err
}

func (p *Provider) shown(r *http.Request, in map[string]string) (client.Client, error) {
	if r.URL.RawQuery != "" {
		return client.Client{}, errQuery
	}
	id, secret := in["client_id"], in["client_secret"]
	if in["client_assertion"] != "" || in["client_assertion_type"] != "" {
		switch {
		case secret != "" || len(r.Header["Authorization"]) > 0:
			return client.Client{}, errTwoMethods
		case in["client_assertion_type"] != client.AssertionType:
			return client.Client{}, errAssertionType
		}
		return p.Clients.Assert(r.Context(), id, in["client_assertion"], p.Issuer, web.Origin(r))
	}
	if len(r.Header["Authorization"]) > 0 {
		named, shown, ok := web.Basic(r)
		switch {
		case !ok:
			return client.Client{}, flow.ErrInvalidClient
		case secret != "" || id != "" && id != named:
			return client.Client{}, errTwoMethods
		}
		id, secret = named, shown
	}
	if secret == "" {
		return p.Clients.Public(r.Context(), id, web.Origin(r))
	}
	return p.Clients.Do(r.Context(), id, secret, web.Origin(r))
}

var (
	errGrantType    = fault.New(fault.Invalid, "unsupported_grant_type", "grant_type is authorization_code, refresh_token, client_credentials or "+deviceCode+".")
	errNoSignIn     = fault.New(fault.Invalid, "unauthorized_client", "Nobody signs in to this application: it is registered as a service.")
	errNotThisGrant = fault.New(fault.Invalid, "unauthorized_client", "Devices have this grant alone, and refresh tokens: type device.")
	errNotThisToken = fault.New(fault.Invalid, "unauthorized_client", "An application without a secret can't ask about tokens.")
)

// pushedAnswer is what an application gets for a pushed request (RFC 9126 section 2.2).
type pushedAnswer struct {
	URI     string `json:"request_uri"`
	Expires int64  `json:"expires_in"`
}

func (p *Provider) push(w http.ResponseWriter, r *http.Request) error {
	in, err := web.FormRepeated(w, r, openid.Repeated, append(openid.Parameters(), credentials[1:]...)...)
	if err != nil {
		return err
	}
	c, err := p.authenticate(w, r, in)
	if err != nil {
		return err
	}
	if !c.Type.SignsIn() {
		return errNoSignIn
	}
	uri, err := p.Authorize.Push(r.Context(), c, in)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, pushedAnswer{uri, int64(grant.PushedLife / time.Second)})
}

// tokenAnswer is what an application gets (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3).
type tokenAnswer struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int64  `json:"expires_in"`
	Refresh string `json:"refresh_token,omitempty"`
	ID      string `json:"id_token,omitempty"`
	Scope   string `json:"scope"`
}

// grantTypes are those that the token endpoint takes.
var grantTypes = []string{"authorization_code", "refresh_token", "client_credentials", deviceCode}

// deviceCode is that of devices (RFC 8628 section 3.4).
const deviceCode = "urn:ietf:params:oauth:grant-type:device_code"

// deviceAnswer is what a device gets at first (RFC 8628 section 3.2). There is no address that has the code in it: who follows a link of
// somebody else's would let that one's device in.
type deviceAnswer struct {
	Code     string `json:"device_code"`
	UserCode string `json:"user_code"`
	URI      string `json:"verification_uri"`
	Expires  int64  `json:"expires_in"`
	Interval int64  `json:"interval"`
}

func (p *Provider) device(w http.ResponseWriter, r *http.Request) error {
	in, err := web.FormRepeated(w, r, openid.Repeated, append([]string{"scope"}, credentials...)...)
	if err != nil {
		return err
	}
	c, err := p.authenticate(w, r, in)
	if err != nil {
		return err
	}
	b, err := p.Device.Begin(r.Context(), c, in["scope"], in[openid.Repeated], web.Origin(r))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, deviceAnswer{
		Code: b.Code, UserCode: b.UserCode, URI: p.Issuer + "/device", Expires: int64(grant.DeviceLife / time.Second),
		Interval: int64(grant.DevicePause / time.Second),
	})
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) error {
	in, err := web.FormRepeated(w, r, openid.Repeated,
		append([]string{"grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "device_code", "scope"}, credentials...)...)
	if err != nil {
		return err
	}
	c, err := p.authenticate(w, r, in)
	if err != nil {
		return err
	}
	var t openid.Tokens
	switch kind := in["grant_type"]; {
	case kind == "":
		return flow.Required("grant_type")
	case kind == "client_credentials":
		t, err = p.Credentials.Issue(r.Context(), c, in["scope"], in[openid.Repeated])
	case !slices.Contains(grantTypes, kind):
		return errGrantType
	case !c.Type.SignsIn():
		return errNoSignIn
	case kind == deviceCode && c.Type == client.Device:
		t, err = p.Device.Poll(r.Context(), c, in["device_code"], in[openid.Repeated], web.Origin(r))
	case kind == deviceCode, kind == "authorization_code" && c.Type == client.Device:
		return errNotThisGrant
	case kind == "authorization_code":
		t, err = p.Exchange.Code(r.Context(), c, openid.Brought{
			Code: in["code"], Redirect: in["redirect_uri"], Verifier: in["code_verifier"], Resource: in[openid.Repeated],
		}, web.Origin(r))
	default:
		t, err = p.Exchange.Refresh(r.Context(), c, openid.Refreshed{
			Token: in["refresh_token"], Scope: in["scope"], Resource: in[openid.Repeated],
		}, web.Origin(r))
	}
	if err != nil {
		return err
	}
	w.Header().Set("Pragma", "no-cache")
	return web.WriteJSON(w, http.StatusOK, tokenAnswer{
		Access: t.Access, Type: "Bearer", Expires: int64(t.Expires / time.Second), Refresh: t.Refresh, ID: t.ID, Scope: t.Scope,
	})
}

var errNoBearer = fault.New(fault.Unauthenticated, "not_signed_in", "This needs an access token. Send it in the header: Authorization: Bearer <token>")

func (p *Provider) userInfo(w http.ResponseWriter, r *http.Request) error {
	access, ok, err := web.Bearer(r)
	if err == nil && !ok {
		err = errNoBearer
	}
	if err != nil {
		return err
	}
	told, err := p.UserInfo.Do(r.Context(), access, web.Origin(r))
	if err != nil {
		if f := fault.As(err); f != nil && f.Code == "insufficient_scope" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="gatehouse", error="insufficient_scope", scope="openid"`)
		}
		return err
	}
	web.SetAccount(r, told.Subject)
	return web.WriteJSON(w, http.StatusOK, told)
}

// introspection is what an application is told of a token of its own (RFC 7662 section 2.2).
type introspection struct {
	Active   bool      `json:"active"`
	Type     string    `json:"token_type,omitempty"`
	Issuer   string    `json:"iss,omitempty"`
	Subject  string    `json:"sub,omitempty"`
	Audience string    `json:"aud,omitempty"`
	Client   string    `json:"client_id,omitempty"`
	Scope    string    `json:"scope,omitempty"`
	Expires  int64     `json:"exp,omitempty"`
	IssuedAt int64     `json:"iat,omitempty"`
	Roles    *[]string `json:"roles,omitempty"`
	AuthTime int64     `json:"auth_time,omitempty"`
	AMR      []string  `json:"amr,omitempty"`
	ACR      string    `json:"acr,omitempty"`
}

// asks reads who asks about a token, and about which.
func (p *Provider) asks(w http.ResponseWriter, r *http.Request) (c client.Client, token string, err error) {
	in, err := web.Form(w, r, append([]string{"token", "token_type_hint"}, credentials...)...)
	if err != nil {
		return c, "", err
	}
	c, err = p.authenticate(w, r, in)
	return c, in["token"], err
}

func (p *Provider) introspect(w http.ResponseWriter, r *http.Request) error {
	c, t, err := p.asks(w, r)
	switch {
	case err != nil:
		return err
	case c.Type.Public():
		return errNotThisToken
	case !c.Type.SignsIn():
		return p.Service.Introspect(w, r, c, t)
	}
	told, err := p.UserInfo.Introspect(r.Context(), c, t, web.Origin(r))
	if err != nil {
		return err
	}
	out := introspection{}
	switch {
	case told == nil:
	case told.Access != nil:
		a := told.Access
		out = introspection{
			Active: true, Type: "Bearer", Issuer: a.Issuer, Subject: a.Subject, Audience: a.Audience, Client: a.ClientID, Scope: a.Scope,
			Expires: a.Expires, IssuedAt: a.IssuedAt, AuthTime: a.AuthTime, AMR: a.AMR, ACR: a.ACR,
		}
		if a.Roles != nil {
			out.Roles = &a.Roles
		}
	default:
		g := told.Grant
		out = introspection{Active: true, Issuer: p.Issuer, Subject: g.Account, Client: g.Client, Scope: g.Scope, Expires: g.Until.Unix(), AuthTime: g.AuthAt.Unix()}
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// revoke answers 200 whether or not there was anything to end (RFC 7009 section 2.2).
func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) error {
	c, t, err := p.asks(w, r)
	if err != nil {
		return err
	}
	if !c.Type.SignsIn() {
		return p.Service.Revoke(w, r, c, t)
	}
	if err := p.Applications.Revoke(r.Context(), c, t, web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
