package api

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/application"
	"github.com/gatehouse-auth/gatehouse/internal/flow/openid"
)

// Tokens are what registered applications ask about.
type Tokens struct {
	Applications
	Introspection *application.Introspect
	// Granted tells of tokens that are for a resource which the service serves.
	Granted *openid.UserInfo
	// Credentials ends those that the service has got for itself.
	Credentials *openid.Credentials
	RevokeToken *application.RevokeToken
	Follow      *flow.Follow
	// Issuer and ClientID are those of refresh tokens, which do not say it themselves.
	Issuer, ClientID string
}

// Routes are its operations.
func (a *Tokens) Routes() web.Routes {
	return web.Routes{
		"POST /v1/token/introspect": a.registered(a.introspect),
		"POST /v1/token/revoke":     a.registered(a.revoke),
		"GET /v1/revocations":       a.registered(a.revocations),
	}
}

// introspection is what a registered application is told of a token (RFC 7662
// section 2.2). Of one that is not good, all but active is left out.
type introspection struct {
	Active    bool      `json:"active"`
	TokenType string    `json:"token_type,omitempty"`
	Issuer    string    `json:"iss,omitempty"`
	Subject   string    `json:"sub,omitempty"`
	Audience  string    `json:"aud,omitempty"`
	Expires   int64     `json:"exp,omitempty"`
	IssuedAt  int64     `json:"iat,omitempty"`
	ID        string    `json:"jti,omitempty"`
	Session   string    `json:"sid,omitempty"`
	Roles     *[]string `json:"roles,omitempty"`
	AuthTime  int64     `json:"auth_time,omitempty"`
	AMR       []string  `json:"amr,omitempty"`
	ACR       string    `json:"acr,omitempty"`
	ClientID  string    `json:"client_id,omitempty"`
	Scope     string    `json:"scope,omitempty"`
}

// introspect takes an access token or a refresh token. The hint tells nothing that
// the token does not.
func (a *Tokens) introspect(w http.ResponseWriter, r *http.Request, by client.Client) error {
	in, err := web.Form(w, r, "token", "token_type_hint")
	if err != nil {
		return err
	}
	return a.Introspect(w, r, by, in["token"])
}

// Introspect tells a service about a token: of a session's any, of an application's those for a resource that it serves.
func (a *Tokens) Introspect(w http.ResponseWriter, r *http.Request, by client.Client, t string) error {
	if a.Granted.Granted(r.Context(), t) {
		told, err := a.Granted.Introspect(r.Context(), by, t, web.Origin(r))
		if err != nil {
			return err
		}
		out := introspection{}
		if told != nil && told.Access != nil {
			c := told.Access
			out = introspection{
				Active: true, TokenType: "Bearer", Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience, Expires: c.Expires, IssuedAt: c.IssuedAt,
				ID: c.ID, Session: c.Session, AuthTime: c.AuthTime, AMR: c.AMR, ACR: c.ACR, ClientID: c.ClientID, Scope: c.Scope,
			}
		}
		return web.WriteJSON(w, http.StatusOK, out)
	}
	told, err := a.Introspection.Do(r.Context(), t, web.Origin(r))
	if err != nil {
		return err
	}
	out := introspection{}
	switch {
	case told == nil:
	case told.Access != nil:
		c := told.Access
		roles := append([]string{}, c.Roles...)
		out = introspection{
			Active: true, TokenType: "Bearer", Issuer: c.Issuer, Subject: c.Subject, Audience: c.Audience, Expires: c.Expires, IssuedAt: c.IssuedAt,
			ID: c.ID, Session: c.Session, Roles: &roles, AuthTime: c.AuthTime, AMR: c.AMR, ACR: token.ACR(c.AMR), ClientID: c.ClientID,
		}
	default:
		g := told.Grant
		roles := append([]string{}, g.Roles...)
		out = introspection{
			Active: true, Issuer: a.Issuer, Subject: g.Account, Expires: g.RefreshUntil.Unix(), Session: g.Session, Roles: &roles,
			AuthTime: g.AuthAt.Unix(), AMR: g.AMR, ACR: token.ACR(g.AMR), ClientID: a.ClientID,
		}
	}
	return web.WriteJSON(w, http.StatusOK, out)
}

// revoke answers 200 whether or not there was anything to end (RFC 7009 section
// 2.2).
func (a *Tokens) revoke(w http.ResponseWriter, r *http.Request, by client.Client) error {
	in, err := web.Form(w, r, "token", "token_type_hint")
	if err != nil {
		return err
	}
	return a.Revoke(w, r, by, in["token"])
}

// Revoke ends the session of a token that a service has brought.
func (a *Tokens) Revoke(w http.ResponseWriter, r *http.Request, by client.Client, t string) error {
	if a.Granted.Granted(r.Context(), t) {
		if err := a.Credentials.End(r.Context(), by, t, web.Origin(r)); err != nil {
			return err
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if err := a.RevokeToken.Do(r.Context(), by, t, web.Origin(r)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
