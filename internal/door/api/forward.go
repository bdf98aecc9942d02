package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/application"
)

// ForwardAuth is for proxies that ask before they let a request through.
type ForwardAuth struct {
	Caller
	ForwardAuth *application.ForwardAuth
	PublicURL   string
	// Clients knows the guarded applications, which have hosts of their own.
	Clients *flow.AuthenticateClient
}

// Routes are its operations.
func (a *ForwardAuth) Routes() web.Routes {
	return web.Routes{
		"GET /v1/forward-auth": a.forwardAuth,
	}
}

// forwardAuth tells a proxy whether to let a request through, and whose it is.
func (a *ForwardAuth) forwardAuth(w http.ResponseWriter, r *http.Request) error {
	q, err := web.Query(r, "redirect", "acr", "max_age")
	if err != nil {
		return err
	}
	if v := q.Get("redirect"); v != "" && v != "1" {
		return fault.Field("redirect", "invalid_redirect", "Write redirect=1, or leave it out.")
	}
	asked, err := flow.ParseAsked(q.Get("acr"), q.Get("max_age"))
	if err != nil {
		return err
	}
	made := web.ForwardedOf(r)
	g, err := a.guard(r, made)
	if err != nil {
		return err
	}
	if g.cookies.Preflight(r, made) {
		letThrough(w, r)
		return nil
	}
	asked = g.asks(asked)
	who, address, err := a.forwarded(r, made, g)
	if err == nil && !asked.Satisfied(who, a.ForwardAuth.Now()) {
		w.Header().Set("WWW-Authenticate", asked.Challenge())
		err = flow.ErrInsufficient
	}
	if fault.KindOf(err) == fault.Unauthenticated && wantsPage(r, made) {
		// nginx can't follow a redirect of ours: it takes the address from the 401.
		w.Header().Set("Location", a.loginFor(made, asked, g))
		if q.Get("redirect") == "1" {
			w.WriteHeader(http.StatusFound)
		}
		return err
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h["X-Auth-User"] = []string{who.Account}
	h["X-Auth-Email"] = []string{headerAddress(address)}
	h["X-Auth-Roles"] = []string{strings.Join(who.Roles, ",")}
	h["X-Auth-Session"] = []string{who.Session}
	h["X-Auth-Acr"] = []string{token.ACR(who.AMR)}
	letThrough(w, r)
	return nil
}

// letThrough answers 200 with the cookies that the application may see, which the proxy puts in
// place of what the browser sent.
func letThrough(w http.ResponseWriter, r *http.Request) {
	if left := web.WithoutOurs(r); left != "" {
		w.Header()["Cookie"] = []string{left}
	}
	w.WriteHeader(http.StatusOK)
}

// headerAddress returns an address as every application can read it from a header, which is
// ASCII (RFC 9110 section 5.5): the domain as DNS has it, and what is not ASCII before it
// percent-encoded in UTF-8. A percent sign is as well, so that no two addresses are written alike.
func headerAddress(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return url.PathEscape(address)
	}
	domain, err := idna.Lookup.ToASCII(address[at+1:])
	if err != nil {
		domain = url.PathEscape(address[at+1:]) // it was registered under other rules
	}
	var local strings.Builder
	for _, b := range []byte(address[:at]) {
		if b > ' ' && b < 0x7f && b != '%' {
			local.WriteByte(b)
			continue
		}
		fmt.Fprintf(&local, "%%%02X", b)
	}
	return local.String() + "@" + domain
}

// forwarded tells whose the request is. What is no credential at all is refused
// as a bad one: proxies know 401 and 403, and take all else for a failure.
func (a *ForwardAuth) forwarded(r *http.Request, made web.Forwarded, g guarding) (flow.Identity, string, error) {
	access, bearer, err := web.Bearer(r)
	if err != nil {
		return flow.Identity{}, "", token.ErrInvalid.Because(err)
	}
	if bearer {
		return a.ForwardAuth.Do(r.Context(), flow.Tokens{Access: access}, web.Origin(r))
	}
	if g.is {
		return a.guarded(r, made, g)
	}
	cookies := a.cookies(r)
	if cookies.Access+cookies.Refresh == "" {
		return flow.Identity{}, "", errNoToken
	}
	who, address, err := a.ForwardAuth.Do(r.Context(), cookies, web.Origin(r))
	if err == nil {
		err = a.Cookies.CheckForwarded(r, made)
	}
	return who, address, err
}

// wantsPage reports whether a browser asks for a page, which can go elsewhere.
func wantsPage(r *http.Request, made web.Forwarded) bool {
	return (made.Method == "" || made.Method == http.MethodGet || made.Method == http.MethodHead) &&
		strings.Contains(r.Header.Get("Accept"), "text/html")
}

// askedQuery is what is asked of a sign-in, as the addresses of pages have it.
func askedQuery(asked flow.Asked) url.Values {
	query := url.Values{}
	if asked.ACR != "" {
		query.Set("acr", asked.ACR)
	}
	if asked.MaxAge > 0 {
		query.Set("max_age", strconv.FormatInt(int64(asked.MaxAge/time.Second), 10))
	}
	return query
}

// loginFor is the sign-in page that leads back.
func (a *ForwardAuth) loginFor(made web.Forwarded, asked flow.Asked, g guarding) string {
	if g.is {
		return g.beginFor(made, asked)
	}
	login := strings.TrimSuffix(a.PublicURL, "/") + "/login"
	to := web.WithReturnTo(login, a.Cookies.ReturnTo(a.Cookies.PageOf(made), ""))
	query := askedQuery(asked)
	switch {
	case len(query) == 0:
		return to
	case to == login:
		return to + "?" + query.Encode()
	}
	return strings.Replace(to, "?", "?"+query.Encode()+"&", 1) // before return_to, which some proxies leave as it is
}
