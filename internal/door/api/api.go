// Package api is the door for programs: JSON over HTTP, as openapi.yaml
// describes it.
//
// A handler decodes strictly, calls one flow, and encodes. What is refused and
// how is web's matter; what happens is the flow's.
package api

import (
	_ "embed"
	"net/http"
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
)

//go:embed openapi.yaml
var openAPI []byte

// API is the door and the flows that it opens on.
type API struct {
	Register     *flow.Register
	SignIn       *flow.SignIn
	Refresh      *flow.Refresh
	SignOut      *flow.SignOut
	Authenticate *flow.Authenticate
	Profile      *flow.Profile
	Strength     *flow.Strength
	Verify       *flow.Verify
	Passwords    *flow.Passwords
	Addresses    *flow.Addresses
	Clients      *flow.AuthenticateClient
	Follow       *flow.Follow
	Introspect   *flow.Introspect
	RevokeToken  *flow.RevokeToken
	ForwardAuth  *flow.ForwardAuth
	Administrate *flow.Administrate
	Blocks       *flow.Blocks
	Audit        *flow.Audit
	Alerts       *alert.Admin
	Discovery    Discovery
	Tokens       *token.Issuer
	Cookies      *web.Cookies
	Now          func() time.Time
}

// Routes registers every operation.
func (a *API) Routes(s *web.Stack, mux *http.ServeMux) {
	for pattern, h := range a.operations() {
		s.Handle(mux, pattern, h)
	}
}

// operations is what openapi.yaml describes, no less and no more: a test holds
// the two together.
func (a *API) operations() map[string]web.Handler {
	return map[string]web.Handler{
		"POST /v1/register":          a.register,
		"POST /v1/login":             a.login,
		"POST /v1/password/strength": a.strength,
		"POST /v1/password/forgot":   a.forgot,
		"POST /v1/password/reset":    a.reset,
		"POST /v1/password/change":   a.signedIn(a.changePassword),
		"POST /v1/email/verify":      a.verifyEmail,
		"POST /v1/email/resend":      a.resend,
		"POST /v1/email/change":      a.signedIn(a.changeEmail),
		"POST /v1/token/refresh":     a.refresh,
		"POST /v1/logout":            a.logout,
		"POST /v1/logout-all":        a.signedIn(a.logoutAll),
		"GET /v1/me":                 a.signedIn(a.me),
		"PATCH /v1/me":               a.signedIn(a.changeMe),
		"GET /v1/me/events":          a.signedIn(a.events),
		"GET /v1/sessions":           a.signedIn(a.sessions),
		"DELETE /v1/sessions/{id}":   a.signedIn(a.endSession),
		"GET /v1/revocations":        a.registered(a.revocations),
		"GET /v1/forward-auth":       a.forwardAuth,
		"POST /v1/token/introspect":  a.registered(a.introspect),
		"POST /v1/token/revoke":      a.registered(a.revoke),
		"GET /.well-known/jwks.json": a.jwks,

		"GET /v1/admin/events":          a.administrator(reads, a.allEvents),
		"GET /v1/admin/alerts":          a.administrator(reads, a.alerts),
		"POST /v1/admin/alerts/silence": a.administrator(changes, a.silence),
		"GET /v1/admin/blocks":          a.administrator(reads, a.blocks),
		"POST /v1/admin/blocks":         a.administrator(changes, a.addBlock),
		"DELETE /v1/admin/blocks/{id}":  a.administrator(changes, a.removeBlock),

		"GET /.well-known/oauth-authorization-server": a.metadata,
		"GET /openapi.json":                           a.openAPI,
	}
}

// identified is a handler for a request whose bearer is known.
type identified func(w http.ResponseWriter, r *http.Request, who flow.Identity) error

// errNoToken is for a request without a token where one is needed.
var errNoToken = fault.New(fault.Unauthenticated, "not_signed_in",
	"This needs an access token. Send it in the header: Authorization: Bearer <token>")

// signedIn lets only those through who have a good access token of a living
// session in the Authorization header, or its cookies. With the header the
// cookies don't count: the two never mix. With cookies, what changes something
// must come from a page of ours.
func (a *API) signedIn(next identified) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		access, bearer, err := web.Bearer(r)
		if err != nil {
			return err
		}
		with := flow.Tokens{Access: access}
		if !bearer {
			with = a.cookies(r)
		}
		if with.Access+with.Refresh == "" {
			return errNoToken
		}
		who, err := a.Authenticate.Browser(r.Context(), with, web.Origin(r))
		if err != nil {
			return err
		}
		if !bearer {
			if err := a.Cookies.CheckCSRF(r, who.Session, ""); err != nil {
				return err
			}
		}
		return next(w, r, who)
	}
}

// cookies are the tokens in a request's cookies.
func (a *API) cookies(r *http.Request) flow.Tokens {
	return flow.Tokens{Access: a.Cookies.Access(r), Refresh: a.Cookies.Refresh(r)}
}

// document is openapi.yaml as JSON, made when it is first asked for.
var document = sync.OnceValues(func() ([]byte, error) { return yaml.YAMLToJSON(openAPI) })

func (a *API) openAPI(w http.ResponseWriter, _ *http.Request) error {
	doc, err := document()
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(doc)
	return nil
}

// stamp writes a time as the API does: RFC 3339 in UTC, to the millisecond.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
