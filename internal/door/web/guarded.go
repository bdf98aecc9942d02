package web

import (
	"net/http"
	"strings"
	"time"
)

// Cookies of the hosts of guarded applications, which share nothing with those of ours. They come with links from other sites, so that
// whoever follows one to the application is signed in there: what changes something is checked by where it comes from
// ([Cookies.CheckForwarded]). No script sees them.
const (
	enteredCookie  = "gatehouse_app"
	enteringCookie = "gatehouse_enter_"
	// enteringMost is how many sign-ins a browser keeps that were begun at one host and have not ended: a tab each.
	enteringMost = 5
)

// At returns the cookies as they are judged at another origin, which no other shares them with.
func (c *Cookies) At(origin string) *Cookies {
	own := *c
	own.Origin, own.Applications, own.Lax, own.HTTPOnly = origin, nil, true, true
	return &own
}

// Entered returns what the host keeps of whoever is signed in there, or nothing.
func (c *Cookies) Entered(r *http.Request) string { return c.get(r, enteredCookie) }

// PutEntered sets it.
func (c *Cookies) PutEntered(w http.ResponseWriter, value string, life time.Duration) {
	c.set(w, enteredCookie, value, life, false)
}

// Entering returns what the browser keeps of the sign-in that was begun with a state, or nothing.
func (c *Cookies) Entering(r *http.Request, state string) string {
	return c.get(r, enteringCookie+shortState(state))
}

// PutEntering sets it. If there are too many the oldest are deleted.
func (c *Cookies) PutEntering(w http.ResponseWriter, r *http.Request, state, value string, life time.Duration) {
	c.setOneOf(w, r, enteringCookie, shortState(state), value, life, enteringMost)
}

// EndEntering takes it away.
func (c *Cookies) EndEntering(w http.ResponseWriter, state string) {
	c.set(w, enteringCookie+shortState(state), "", 0, false)
}

// OriginOf returns the scheme and host of an address that a proxy asks about; empty where it says none.
func OriginOf(f Forwarded) string {
	scheme, rest, ok := strings.Cut(f.URL, "://")
	host, _, _ := strings.Cut(rest, "/")
	if !ok {
		return ""
	}
	return scheme + "://" + strings.ToLower(host)
}

// ForwardedOrigin returns the scheme and host that a browser asked a proxy of ours for, by X-Forwarded-Proto and X-Forwarded-Host; empty
// where no trusted proxy says so.
func ForwardedOrigin(r *http.Request) string {
	if !callerOf(r).proxied {
		return ""
	}
	proto, host := r.Header["X-Forwarded-Proto"], r.Header["X-Forwarded-Host"]
	if len(proto) != 1 || len(host) != 1 || host[0] == "" {
		return ""
	}
	return proto[0] + "://" + strings.ToLower(withoutDefaultPort(proto[0], host[0]))
}

// Navigates reports whether a browser's person goes here: it is no script's request, and none ahead of time.
func Navigates(r *http.Request) bool {
	mode := r.Header.Get("Sec-Fetch-Mode")
	return (mode == "" || mode == "navigate") && r.Header.Get("Sec-Purpose") == "" && r.Header.Get("Purpose") == ""
}
