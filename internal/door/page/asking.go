package page

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow/openid"
)

// Asking is what pages on the way to an application know of what that asks for.
type Asking struct {
	Authorize *openid.Authorize
}

const (
	authorizePath = "/oauth2/authorize"
	continuePath  = "/oauth2/continue"
	consentPath   = "/oauth2/consent"
	endPath       = "/oauth2/end-session"
	leavePath     = "/oauth2/leave"
)

// onward is where a request goes on.
func onward(sealed string) string { return continuePath + "?tx=" + url.QueryEscape(sealed) }

// sealedOf returns the request that an address goes on with, if it does.
func sealedOf(address string) (sealed string, ok bool) {
	query, ok := strings.CutPrefix(address, continuePath+"?")
	if !ok {
		return "", false
	}
	values, err := url.ParseQuery(query)
	return values.Get("tx"), err == nil && values.Get("tx") != ""
}

// signedIn notes in an address that goes on with a request that this session was begun for it. Any other stays as it is.
func (a *Asking) signedIn(address, session string) string {
	sealed, ok := sealedOf(address)
	if a == nil || !ok {
		return address
	}
	return onward(a.Authorize.SignedIn(sealed, session))
}

// formTo is the other origin that a form leads to whose answer goes to an address: browsers hold the redirects behind it to
// form-action too. A request leads to its application.
func (p *Pages) formTo(r *http.Request, address string) string {
	sealed, ok := sealedOf(address)
	path, _, _ := strings.Cut(address, "?")
	switch {
	case path == "/admin" || strings.HasPrefix(path, "/admin/"):
		return p.Console
	case !ok || p.Asks == nil:
		return originOf(address)
	}
	request, _, err := p.Asks.Authorize.Open(r.Context(), sealed)
	if err != nil {
		return ""
	}
	return client.Origin(request.Redirect)
}
