package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// ForwardAuth is for proxies that ask before they let a request through.
type ForwardAuth struct {
	Caller
	ForwardAuth *flow.ForwardAuth
	PublicURL   string
}

// Routes are its operations.
func (a *ForwardAuth) Routes() web.Routes {
	return web.Routes{
		"GET /v1/forward-auth": a.forwardAuth,
	}
}

// forwardAuth tells a proxy whether to let a request through, and whose it is.
func (a *ForwardAuth) forwardAuth(w http.ResponseWriter, r *http.Request) error {
	q, err := web.Query(r, "redirect")
	if err != nil {
		return err
	}
	if v := q.Get("redirect"); v != "" && v != "1" {
		return fault.Field("redirect", "invalid_redirect", "Write redirect=1, or leave it out.")
	}
	made := web.ForwardedOf(r)
	who, address, err := a.forwarded(r, made)
	if fault.KindOf(err) == fault.Unauthenticated && q.Get("redirect") == "1" && wantsPage(r, made) {
		w.Header().Set("Location", a.loginFor(made))
		w.WriteHeader(http.StatusFound)
		return err
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h["X-Auth-User"] = []string{who.Account}
	h["X-Auth-Email"] = []string{address}
	h["X-Auth-Roles"] = []string{strings.Join(who.Roles, ",")}
	h["X-Auth-Session"] = []string{who.Session}
	w.WriteHeader(http.StatusOK)
	return nil
}

// forwarded tells whose the request is. What is no credential at all is refused
// as a bad one: proxies know 401 and 403, and take all else for a failure.
func (a *ForwardAuth) forwarded(r *http.Request, made web.Forwarded) (flow.Identity, string, error) {
	access, bearer, err := web.Bearer(r)
	if err != nil {
		return flow.Identity{}, "", token.ErrInvalid.Because(err)
	}
	if !bearer {
		access = a.Cookies.Access(r)
	}
	if access == "" {
		return flow.Identity{}, "", errNoToken
	}
	who, address, err := a.ForwardAuth.Do(r.Context(), access, web.Origin(r))
	if err == nil && !bearer {
		err = a.Cookies.CheckForwarded(r, made)
	}
	return who, address, err
}

// wantsPage reports whether a browser asks for a page, which can go elsewhere.
func wantsPage(r *http.Request, made web.Forwarded) bool {
	return (made.Method == "" || made.Method == http.MethodGet || made.Method == http.MethodHead) &&
		strings.Contains(r.Header.Get("Accept"), "text/html")
}

// loginFor is the sign-in page that leads back.
func (a *ForwardAuth) loginFor(made web.Forwarded) string {
	to := strings.TrimSuffix(a.PublicURL, "/") + "/login"
	if back := a.Cookies.ReturnTo(made.URL, ""); back != "" {
		to += "?return_to=" + url.QueryEscape(back)
	}
	return to
}
