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

// Cookies keeps a session in a browser, for web applications that live on the
// same host: an access and a refresh token that no script can read, and a token
// against forged requests (CSRF) that scripts of this host read and send back.
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
	// Origin is that of PUBLIC_URL: what requests that change something come from.
	Origin string
	// Applications are the other origins whose scripts may use the cookies: those
	// of CORS_ORIGINS.
	Applications []string
	// Key returns the key of the tokens against forged requests.
	Key func() []byte
}

// The cookies, without their prefix.
const (
	accessCookie  = "gatehouse_at"
	refreshCookie = "gatehouse_rt"
	csrfCookie    = "gatehouse_csrf"
)

// CSRFHeader is where a script sends back what it read in the csrf cookie.
const CSRFHeader = "X-CSRF-Token"

// The faults of a request that comes with cookies.
var (
	ErrCrossOrigin = fault.New(fault.Denied, "cross_origin",
		"This request came from another site. Cookies count only for requests from this one.")
	ErrCSRF = fault.New(fault.Denied, "csrf_token_required",
		"A request that comes with cookies and changes something needs the header X-CSRF-Token, with what the csrf cookie says.")
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

// SessionTokens is what the cookies of a session hold.
type SessionTokens struct {
	Session        string
	Access         string
	AccessExpires  time.Duration
	Refresh        string
	RefreshExpires time.Duration
	SessionExpires time.Duration
}

// Put sets the cookies of a session, and returns its token against forged
// requests. They stay until the session's absolute end: when it ends because it is not used, the
// database tells, and by the time that a cookie of its would end a proxy may have had it used a
// thousand times without handing on another.
func (c *Cookies) Put(w http.ResponseWriter, t SessionTokens) (csrf string) {
	csrf = c.CSRF(t.Session)
	c.set(w, accessCookie, t.Access, t.AccessExpires, false)
	c.set(w, refreshCookie, t.Refresh, t.SessionExpires, false)
	c.set(w, csrfCookie, csrf, t.SessionExpires, true)
	return csrf
}

// Clear takes the cookies away, and what the browser keeps of the pages that were
// seen with them (ASVS 14.3.1). It leaves the known device its cookie, and the
// application on this host its storage.
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
// device of an account. What follows tells which account's.
const deviceCookie = "gatehouse_dc_"

// devicesMost is how many of them a browser keeps: some 80 bytes each, for 180 days,
// of the 8 KiB of header that proxies take.
const devicesMost = 20

// Devices returns the request's cookies of known devices, by what stands behind
// the prefix in their names. Whoever looks one up knows its name.
func (c *Cookies) Devices(r *http.Request) map[string]string {
	out := map[string]string{}
	for _, cookie := range r.Cookies() {
		if name, ok := strings.CutPrefix(cookie.Name, c.name(deviceCookie)); ok {
			out[name] = cookie.Value
		}
	}
	return out
}

// PutDevice makes the browser a known device of an account. Of too many the oldest
// are taken away: browsers send those first (RFC 6265 section 5.4).
func (c *Cookies) PutDevice(w http.ResponseWriter, r *http.Request, name, value string, life time.Duration) {
	var others []string
	for _, cookie := range r.Cookies() {
		if other, ok := strings.CutPrefix(cookie.Name, c.name(deviceCookie)); ok && other != name && !slices.Contains(others, other) {
			others = append(others, other)
		}
	}
	for i := range max(len(others)-(devicesMost-1), 0) {
		c.set(w, deviceCookie+others[i], "", 0, false)
	}
	c.set(w, deviceCookie+name, value, life, false)
}

// registeredCookie tells the browser that registered an account: with it, the link
// in the mail needs no password.
const registeredCookie = "gatehouse_reg"

// Registered returns what the browser keeps that registered, or nothing.
func (c *Cookies) Registered(r *http.Request) string { return c.get(r, registeredCookie) }

// PutRegistered has the browser keep it.
func (c *Cookies) PutRegistered(w http.ResponseWriter, value string, life time.Duration) {
	c.set(w, registeredCookie, value, life, false)
}

// Short returns a cookie of a page's own, or nothing.
func (c *Cookies) Short(r *http.Request, name string) string { return c.get(r, name) }

// PutShort has the browser keep one; with no life it is taken away.
func (c *Cookies) PutShort(w http.ResponseWriter, name, value string, life time.Duration) {
	c.set(w, name, value, life, false)
}

// get returns a cookie's value. Of two with one name none counts: one of them
// is somebody else's.
func (c *Cookies) get(r *http.Request, base string) string {
	found := r.CookiesNamed(c.name(base))
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

// CSRF returns a session's token against forged requests: a keyed hash, so that
// it fits no other session, and nobody can make one for a session of theirs and
// plant it.
func (c *Cookies) CSRF(session string) string {
	return base64.RawURLEncoding.EncodeToString(secret.MAC(c.Key(), []byte("csrf"), []byte(session)))
}

// CheckOrigin refuses a request that changes something and was made by another
// site, as far as the browser tells.
//
// Sec-Fetch-Site decides where it is there, since no page can set it: the Origin
// header is then not looked at, which is "null" where an application's page, or a
// proxy, says Referrer-Policy: no-referrer. Without it, and where it says that a person
// asked by themselves (none), Origin must be ours to the letter, or be missing.
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

// crossOrigin is ErrCrossOrigin with the header that told.
func crossOrigin(header, value string) error {
	f := *ErrCrossOrigin
	f.Message += " Your browser sent the header " + header + ": " + printable(value, maxShownName) + "."
	if value == "null" {
		f.Message += ` That is what it sends where Referrer-Policy is no-referrer: send "same-origin" with the page.`
	}
	return &f
}

// CheckCaller is CheckOrigin for the API, which the scripts of applications call
// too. Their origin must stand there to the letter: without one, a request from
// another site is nobody's.
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
