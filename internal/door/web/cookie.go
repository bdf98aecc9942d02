package web

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

// Cookies keeps a session in a browser, for web applications on the
// same host: an access and a refresh token that no script can read, and a CSRF
// token that scripts on this host read and send back.
//
// Every one is host-only, and over TLS named __Host-, so that no sibling
// domain and no plain connection can put another in its place (RFC 6265bis
// section 4.1.3.2).
type Cookies struct {
	// Secure is false only for development over plain HTTP.
	Secure bool
	// HTTPOnly is false only for development.
	HTTPOnly bool
	// Lax sends the cookies with links from other sites as well; otherwise they
	// are SameSite=Strict.
	Lax bool
	// Origin is PUBLIC_URL's: where requests that change something come from.
	Origin string
	// Applications are the other origins whose scripts may use the cookies: those
	// of CORS_ORIGINS.
	Applications []string
	// Key returns the key of the CSRF tokens.
	Key func() []byte
}

// The cookies, without their prefix.
const (
	accessCookie  = "gatehouse_at"
	refreshCookie = "gatehouse_rt"
	csrfCookie    = "gatehouse_csrf"
	pendingCookie = "gatehouse_pt"
)

// CSRFHeader is where a script sends back what it read in the csrf cookie.
const CSRFHeader = "X-CSRF-Token"

// The faults of a request with cookies.
var (
	ErrCrossOrigin = fault.New(fault.Denied, "cross_origin",
		"This request came from another site. Cookies are accepted only for requests from this site.")
	ErrCSRF = fault.New(fault.Denied, "csrf_token_required",
		"A request with cookies that changes something needs the X-CSRF-Token header, set to the value of the csrf cookie.")
)

func (c *Cookies) name(base string) string {
	if c.Secure {
		return "__Host-" + base
	}
	return base
}

func (c *Cookies) set(w http.ResponseWriter, base, value string, life time.Duration, script bool) {
	cookie := &http.Cookie{ //nolint:gosec // weaker attributes are refused in production
		Name: c.name(base), Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: c.Secure, HttpOnly: c.HTTPOnly && !script, SameSite: http.SameSiteStrictMode,
	}
	if c.Lax {
		cookie.SameSite = http.SameSiteLaxMode
	}
	if life <= 0 {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, cookie)
}

// SessionTokens is the content of a session's cookies.
type SessionTokens struct {
	Session        string
	Access         string
	AccessExpires  time.Duration
	Refresh        string
	RefreshExpires time.Duration
	SessionExpires time.Duration
}

// Put sets the cookies of a session, and returns its CSRF token. They last until
// the session's absolute end: only the database knows when it expires for lack of use, and by
// the time that a shorter-lived cookie expired a proxy might have used the session a
// thousand times without passing on a new one.
func (c *Cookies) Put(w http.ResponseWriter, t SessionTokens) (csrf string) {
	csrf = c.CSRF(t.Session)
	c.set(w, accessCookie, t.Access, t.AccessExpires, false)
	c.set(w, refreshCookie, t.Refresh, t.SessionExpires, false)
	c.set(w, csrfCookie, csrf, t.SessionExpires, true)
	return csrf
}

// Clear deletes the cookies, and the browser's cache of the pages that were
// seen with them (ASVS 14.3.1). It keeps the known device's cookie, and the storage
// of the application on this host.
func (c *Cookies) Clear(w http.ResponseWriter) {
	w.Header().Set("Clear-Site-Data", `"cache"`)
	for _, base := range []string{accessCookie, refreshCookie, csrfCookie} {
		c.set(w, base, "", 0, base == csrfCookie)
	}
}

// Access returns the access token in the request's cookie, or nothing.
func (c *Cookies) Access(r *http.Request) string { return c.get(r, accessCookie) }

// Refresh returns the refresh token in the request's cookie, or nothing.
func (c *Cookies) Refresh(r *http.Request) string { return c.get(r, refreshCookie) }

// deviceCookie begins the names of the cookies that make a browser a known
// device of an account. What follows identifies the account.
const deviceCookie = "gatehouse_dc_"

// devicesMost is how many of them a browser keeps: some 80 bytes each, for 180 days,
// of the 8 KiB of header that proxies take.
const devicesMost = 20

// Devices returns the request's known-device cookies, by what follows
// the prefix in their names. A caller that looks one up knows its name.
func (c *Cookies) Devices(r *http.Request) map[string]string {
	out := map[string]string{}
	for _, cookie := range r.Cookies() {
		if name, ok := strings.CutPrefix(cookie.Name, c.name(deviceCookie)); ok {
			out[name] = cookie.Value
		}
	}
	return out
}

// PutDevice makes the browser a known device of an account. If there are too many the
// oldest are deleted.
func (c *Cookies) PutDevice(w http.ResponseWriter, r *http.Request, name, value string, life time.Duration) {
	c.setOneOf(w, r, deviceCookie, name, value, life, devicesMost)
}

// setOneOf sets one of several cookies whose names begin alike. Where there are more than most with it the oldest are deleted:
// browsers send those first (RFC 6265 section 5.4).
func (c *Cookies) setOneOf(w http.ResponseWriter, r *http.Request, prefix, name, value string, life time.Duration, most int) {
	var others []string
	for _, cookie := range r.Cookies() {
		if other, ok := strings.CutPrefix(cookie.Name, c.name(prefix)); ok && other != name && !slices.Contains(others, other) {
			others = append(others, other)
		}
	}
	for i := range max(len(others)-(most-1), 0) {
		c.set(w, prefix+others[i], "", 0, false)
	}
	c.set(w, prefix+name, value, life, false)
}

// registeredCookie marks the browser that registered an account: with it, the link
// in the mail needs no password.
const registeredCookie = "gatehouse_reg"

// Registered returns what the browser keeps that registered, or nothing.
func (c *Cookies) Registered(r *http.Request) string { return c.get(r, registeredCookie) }

// PutRegistered sets it.
func (c *Cookies) PutRegistered(w http.ResponseWriter, value string, life time.Duration) {
	c.set(w, registeredCookie, value, life, false)
}

// Pending returns the token of a sign-in that waits for its second step, or nothing.
func (c *Cookies) Pending(r *http.Request) string { return c.get(r, pendingCookie) }

// PutPending has the browser keep one; with no life it is taken away. No link on another site
// brings it along, whatever SESSION_COOKIE_SAMESITE says.
func (c *Cookies) PutPending(w http.ResponseWriter, token string, life time.Duration) {
	strict := *c
	strict.Lax = false
	strict.set(w, pendingCookie, token, life, false)
}

// Short returns a cookie of a page's own, or nothing.
func (c *Cookies) Short(r *http.Request, name string) string { return c.get(r, name) }

// PutShort sets one; with a lifetime of zero it is deleted.
func (c *Cookies) PutShort(w http.ResponseWriter, name, value string, life time.Duration) {
	c.set(w, name, value, life, false)
}

// get returns a cookie's value. Of two with the same name none counts: one of them
// is someone else's.
func (c *Cookies) get(r *http.Request, base string) string {
	found := r.CookiesNamed(c.name(base))
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

// CSRF returns a session's CSRF token: a keyed hash, so that
// it fits no other session, and nobody can make one for a session of theirs and
// plant it.
func (c *Cookies) CSRF(session string) string {
	return base64.RawURLEncoding.EncodeToString(secret.MAC(c.Key(), []byte("csrf"), []byte(session)))
}

// CheckOrigin refuses a request that changes something and was made by another
// site, as far as the browser says.
//
// Sec-Fetch-Site decides where it is there, since no page can set it: the Origin
// header is then not looked at, which is "null" where an application's page, or a
// proxy, says Referrer-Policy: no-referrer. Without it, and where it says that a person
// navigated by themselves (none), Origin must be exactly ours, or be missing.
func (c *Cookies) CheckOrigin(r *http.Request) error {
	if safeMethod(r.Method) {
		return nil
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "same-origin":
		return nil
	case "", "none":
	default:
		return crossOrigin("Sec-Fetch-Site", site)
	}
	origin := r.Header.Get("Origin")
	if origin == "" || origin == c.Origin {
		return nil
	}
	// Development is often reached by another name than the public one.
	if u, err := url.Parse(origin); err == nil && !c.Secure && u.Host == r.Host && u.Path == "" {
		return nil
	}
	return crossOrigin("Origin", origin)
}

// crossOrigin is ErrCrossOrigin with the header that showed it.
func crossOrigin(header, value string) error {
	f := *ErrCrossOrigin
	f.Message += " Your browser sent the header " + header + ": " + printable(value, maxShownName) + "."
	if value == "null" {
		f.Message += ` That is what it sends where Referrer-Policy is no-referrer: send "same-origin" with the page.`
	}
	return &f
}

// CheckCaller is CheckOrigin for the API, which the scripts of applications call
// too. Their origin must match exactly: without one, a request from
// another site is no one's.
func (c *Cookies) CheckCaller(r *http.Request) error {
	if origins := r.Header["Origin"]; len(origins) == 1 && slices.Contains(c.Applications, origins[0]) {
		return nil
	}
	return c.CheckOrigin(r)
}

// CheckCSRF refuses a request that changes something, comes with the cookies of
// the session, and was not made by a page of ours or an application's: by its
// origin, and by its token. A form brings the token as the given value, a script in the header.
func (c *Cookies) CheckCSRF(r *http.Request, session, formValue string) error {
	if safeMethod(r.Method) {
		return nil
	}
	if err := c.CheckCaller(r); err != nil {
		return err
	}
	got := r.Header.Get(CSRFHeader)
	if got == "" {
		got = formValue
	}
	if !secret.Equal([]byte(got), []byte(c.CSRF(session))) {
		return ErrCSRF
	}
	return nil
}

func safeMethod(m string) bool {
	return m == http.MethodGet || m == http.MethodHead || m == http.MethodOptions
}
