// Package api is the door for programs: JSON over HTTP, as openapi.yaml
// describes it.
//
// A handler decodes strictly, calls one flow, and encodes. What is refused and
// how is web's matter; what happens is the flow's. The handlers of a resource are
// methods of a small type, with the flows that they need and its routes.
package api

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/application"
)

// Caller finds out who makes a request. The operations that need to know share it.
type Caller struct {
	Authenticate *application.Authenticate
	Cookies      *web.Cookies
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
func (a *Caller) signedIn(next identified) web.Handler {
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
		web.SetAccount(r, who.Account)
		if !bearer {
			if err := a.Cookies.CheckCSRF(r, who.Session, ""); err != nil {
				return err
			}
		}
		return next(w, r, who)
	}
}

// cookies are the tokens in a request's cookies.
func (a *Caller) cookies(r *http.Request) flow.Tokens {
	return flow.Tokens{Access: a.Cookies.Access(r), Refresh: a.Cookies.Refresh(r)}
}

// stamp writes a time as the API does: RFC 3339 in UTC, to the millisecond.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
