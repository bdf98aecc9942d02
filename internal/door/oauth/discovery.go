package oauth

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow/openid"
)

// Discovery says where things are: one document under both names (OpenID Connect Discovery, RFC 8414).
type Discovery struct {
	// Issuer is that of the tokens, and PublicURL where everything is served. People can be signed in only where they are one: an
	// issuer's documents are under its address.
	Issuer, PublicURL string
	// Registers is whether applications register themselves.
	Registers bool

	made sync.Once
	text []byte
	fail error
}

// Routes are the documents. Strangers read them, so they ask nothing of the database, and make no key for ID tokens: the first
// application that is registered does.
func (d *Discovery) Routes() web.Routes {
	return web.Routes{
		"GET /.well-known/openid-configuration":       d.document,
		"GET /.well-known/oauth-authorization-server": d.document,
	}
}

// document answers with what the settings say, which is written once: it is asked for as often as the published keys.
func (d *Discovery) document(w http.ResponseWriter, _ *http.Request) error {
	d.made.Do(func() {
		says := d.shared()
		if d.Provides() {
			d.provider(says)
		}
		d.text, d.fail = json.Marshal(says)
	})
	if d.fail != nil {
		return d.fail
	}
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("Content-Type", "application/json")
	_, _ = w.Write(d.text)
	return nil
}

// Provides reports whether people can sign in to applications.
func (d *Discovery) Provides() bool { return d.Issuer == d.PublicURL }

func (d *Discovery) at(path string) string { return d.PublicURL + path }

// shared is what there is whether or not people sign in to applications.
func (d *Discovery) shared() map[string]any {
	basic := []string{"client_secret_basic"}
	return map[string]any{
		"issuer":                   d.Issuer,
		"jwks_uri":                 d.at("/.well-known/jwks.json"),
		"introspection_endpoint":   d.at("/v1/token/introspect"),
		"revocation_endpoint":      d.at("/v1/token/revoke"),
		"response_types_supported": []string{},
		"grant_types_supported":    []string{},
		"introspection_endpoint_auth_methods_supported": basic,
		"revocation_endpoint_auth_methods_supported":    basic,
	}
}

// provider adds what the provider has. What it does not say some libraries take for there (request_uri).
func (d *Discovery) provider(says map[string]any) {
	if d.Registers {
		says["registration_endpoint"] = d.at("/oauth2/register")
	}
	secrets := []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}
	for name, value := range map[string]any{
		"authorization_endpoint":                d.at("/oauth2/authorize"),
		"token_endpoint":                        d.at("/oauth2/token"),
		"device_authorization_endpoint":         d.at("/oauth2/device_authorization"),
		"pushed_authorization_request_endpoint": d.at("/oauth2/par"),
		"userinfo_endpoint":                     d.at("/oauth2/userinfo"),
		"introspection_endpoint":                d.at("/oauth2/introspect"),
		"revocation_endpoint":                   d.at("/oauth2/revoke"),
		"end_session_endpoint":                  d.at("/oauth2/end-session"),

		"response_types_supported":                                 []string{"code"},
		"response_modes_supported":                                 client.ResponseModes(),
		"grant_types_supported":                                    grantTypes,
		"subject_types_supported":                                  []string{"public"},
		"id_token_signing_alg_values_supported":                    client.IDAlgorithms(),
		"token_endpoint_auth_methods_supported":                    slices.Concat(secrets, []string{"none"}),
		"introspection_endpoint_auth_methods_supported":            secrets,
		"revocation_endpoint_auth_methods_supported":               slices.Concat(secrets, []string{"none"}),
		"token_endpoint_auth_signing_alg_values_supported":         client.Algorithms(),
		"introspection_endpoint_auth_signing_alg_values_supported": client.Algorithms(),
		"revocation_endpoint_auth_signing_alg_values_supported":    client.Algorithms(),
		"code_challenge_methods_supported":                         []string{"S256"},
		"scopes_supported":                                         grant.Scopes(),
		"prompt_values_supported":                                  openid.Prompts(),
		"acr_values_supported":                                     []string{token.OneFactor, token.TwoFactors, token.PhishingResistant},
		"claims_supported":                                         claims,
		"claims_parameter_supported":                               false,
		"request_parameter_supported":                              false,
		"request_uri_parameter_supported":                          false,
		"require_pushed_authorization_requests":                    false,
		"authorization_response_iss_parameter_supported":           true,
		"backchannel_logout_supported":                             true,
		"backchannel_logout_session_supported":                     true,
	} {
		says[name] = value
	}
}

// claims are those that ID tokens and the userinfo endpoint may have.
var claims = []string{
	"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid", "acr", "amr", "name", "locale", "preferred_username", "email",
	"email_verified", "roles", "groups",
}
