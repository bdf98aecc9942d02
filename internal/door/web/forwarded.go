package web

import (
	"net/http"
	"slices"
	"strings"
)

// Forwarded is what a proxy says of the request that it asks about; empty where
// it says nothing, or is not trusted.
type Forwarded struct {
	Method string
	URL    string // with scheme and host
}

// ForwardedOf returns it from X-Forwarded-Method, -Proto, -Host and -Uri.
func ForwardedOf(r *http.Request) Forwarded {
	if !callerOf(r).proxied {
		return Forwarded{}
	}
	one := func(name string) string {
		if v := r.Header[name]; len(v) == 1 {
			return v[0]
		}
		return ""
	}
	f := Forwarded{Method: one("X-Forwarded-Method")}
	if proto, host, uri := one("X-Forwarded-Proto"), one("X-Forwarded-Host"), one("X-Forwarded-Uri"); proto != "" && host != "" && uri != "" {
		f.URL = proto + "://" + withoutDefaultPort(proto, host) + uri
	}
	return f
}

// CheckForwarded refuses a request that a proxy asks about, comes with cookies, may
// change something, and was made by another site or a sibling, as far as the browser
// tells.
func (c *Cookies) CheckForwarded(r *http.Request, f Forwarded) error {
	made := *r
	made.Method = f.Method
	// A header can be as much of a change as a method, and where the proxy does not name the
	// method an Origin header stands for one that changes something.
	if hasEffects(r.Header) || f.Method == "" && r.Header["Origin"] != nil {
		made.Method = http.MethodPost
	} else if f.Method == "" {
		return nil
	}
	return c.CheckCaller(&made)
}

// hasEffects reports whether a request does more than read, although it may be a GET: the
// handshake of a WebSocket, over which all else can be said (ASVS 4.4.2), a stream of
// events, whose reader is not bound by CORS until the first answer, or another method in a header.
// Browsers send cookies with them from siblings. nginx drops Upgrade from what it asks
// about, so that each of the headers is enough.
func hasEffects(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, "Sec-Websocket-") {
			return true
		}
	}
	for _, name := range []string{"Upgrade", "X-Http-Method-Override", "X-Http-Method", "X-Method-Override"} {
		if h[name] != nil {
			return true
		}
	}
	for _, mode := range h["Sec-Fetch-Mode"] {
		if mode == "websocket" || mode == "webtransport" {
			return true
		}
	}
	for _, accept := range h["Accept"] {
		if strings.Contains(strings.ToLower(accept), "text/event-stream") {
			return true
		}
	}
	return false
}

// Preflight reports whether a proxy asks about a browser's question, which has neither cookies nor
// effects, whether a script of ours or an application's (CORS_ORIGINS) may make a request.
func (c *Cookies) Preflight(r *http.Request, f Forwarded) bool {
	origins := r.Header["Origin"]
	return f.Method == http.MethodOptions && len(origins) == 1 && r.Header.Get("Access-Control-Request-Method") != "" &&
		(origins[0] == c.Origin || slices.Contains(c.Applications, origins[0]))
}

// WithoutOurs returns the cookies of a request without ours, as the Cookie header has them: what an
// application is to see, since tokens go only to those who need them (ASVS 10.1.1).
func WithoutOurs(r *http.Request) string {
	var left []string
	for _, line := range r.Header["Cookie"] {
		for cookie := range strings.SplitSeq(line, ";") {
			cookie = strings.Trim(cookie, " \t")
			name, _, _ := strings.Cut(cookie, "=")
			name = strings.ToLower(strings.Trim(name, " \t\""))
			name = strings.TrimPrefix(strings.TrimPrefix(name, "__host-"), "__secure-")
			if cookie != "" && !strings.HasPrefix(name, "gatehouse_") {
				left = append(left, cookie)
			}
		}
	}
	return strings.Join(left, "; ")
}
