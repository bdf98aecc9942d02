package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rs/cors"
)

// Edge is what the public listener knows of its own outside.
type Edge struct {
	hsts   bool
	cors   *cors.Cors
	hosts  hosts
	public string // PUBLIC_URL, where that is https
	// related is the host that passkeys are made for.
	related string
	plain   bool
	// clients answers scripts of applications that people sign in to; nil for none.
	clients *cors.Cors
	// console is the host that the console has to itself, and consoleURL its origin, where that is https; empty for none.
	console, consoleURL string
}

// EdgeConfig is the settings that an Edge follows.
type EdgeConfig struct {
	// PublicURL is the origin that people use.
	PublicURL string
	// Origins are those of the web applications whose scripts may read our
	// answers, each as browsers write it (CORS_ORIGINS).
	Origins []string
	// Hosts are the names that requests may call; none for any. Loopback adds
	// the names of this machine.
	Hosts    []string
	Loopback bool
	// Internal adds addresses and names that are in no public DNS.
	Internal bool
	// Related is a host under whose name [RelatedOriginsPath] is answered, and nothing else; empty for none.
	Related string
	// ClientOrigin reports whether an origin is that of an application that people sign in to, whose scripts may ask for its own
	// tokens; nil for none.
	ClientOrigin func(r *http.Request, origin string) bool
	// ConsoleURL is the origin that the console has to itself (ADMIN_URL); empty for none.
	ConsoleURL string
	// Plain is for the listener in addition to TLS, where all is plain HTTP.
	Plain bool
}

// RelatedOriginsPath is what browsers ask the host of passkeys for, by whatever name that has, before a page of another
// host may use them (WebAuthn section 5.11).
const RelatedOriginsPath = "/.well-known/webauthn"

// preflightLife is how long browsers may keep the answer to a preflight: as
// long as any of them does.
const preflightLife = 2 * time.Hour

// NewEdge makes the Edge of the public listener.
func NewEdge(c EdgeConfig) *Edge {
	host, https := strings.CutPrefix(c.PublicURL, "https://")
	host, _, _ = strings.Cut(host, ":")
	// Browsers take HSTS for all of localhost, so for each developer's server.
	e := &Edge{
		hsts:  https && host != "localhost" && !strings.HasSuffix(host, ".localhost"),
		hosts: newHosts(c.Hosts, c.Loopback), plain: c.Plain, related: c.Related,
	}
	e.hosts.internal = c.Internal
	if https {
		e.public = c.PublicURL
	}
	if scheme, host, ok := strings.Cut(c.ConsoleURL, "://"); ok {
		e.console = withoutPort(host)
		if scheme == "https" {
			e.consoleURL = c.ConsoleURL
		}
	}
	if c.ClientOrigin != nil {
		e.clients = cors.New(cors.Options{
			AllowOriginVaryRequestFunc: func(r *http.Request, origin string) (bool, []string) {
				return len(r.Header["Origin"]) == 1 && c.ClientOrigin(r, origin), nil
			},
			AllowedMethods: []string{http.MethodGet, http.MethodPost},
			AllowedHeaders: []string{"Authorization", "Content-Type", "MCP-Protocol-Version"},
			ExposedHeaders: []string{"X-Request-Id", "Retry-After", "WWW-Authenticate"},
			MaxAge:         int(preflightLife / time.Second),
		})
	}
	if len(c.Origins) > 0 { // to the library, none is all
		e.cors = cors.New(cors.Options{
			// Its own list would take an origin in any case, and echo the second
			// of two Origin headers.
			AllowOriginVaryRequestFunc: func(r *http.Request, origin string) (bool, []string) {
				return len(r.Header["Origin"]) == 1 && slices.Contains(c.Origins, origin), nil
			},
			AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
			AllowedHeaders: []string{"Authorization", "Content-Type", CSRFHeader, "X-Request-Id"},
			ExposedHeaders: []string{
				"X-Request-Id", "Retry-After", "RateLimit", "RateLimit-Policy", "WWW-Authenticate", CSRFHeader,
			},
			AllowCredentials: true,
			MaxAge:           int(preflightLife / time.Second),
		})
	}
	return e
}

// setTransportSecurity has a browser that came over TLS use nothing else from
// now on. It comes before all else, so that refusals say it too (ASVS 3.4.1).
func (e *Edge) setTransportSecurity(x *exchange) {
	if e != nil && e.hsts && !e.plain && x.caller.secure {
		x.Header()["Strict-Transport-Security"] = transportSecurity
	}
}

// enter sets the headers that depend on the request, and turns away what came
// to a wrong name or in the clear. It reports whether that was all: a preflight
// has its whole answer then, as has one that was redirected.
func (e *Edge) enter(x *exchange, r *http.Request) (done bool) {
	if e == nil {
		return false
	}
	// What a proxy asks about a request to an application comes with that
	// request's name and scheme.
	about := x.caller.proxied && r.URL.Path == "/v1/forward-auth"
	former := e.related != "" && r.URL.Path == RelatedOriginsPath && withoutPort(r.Host) == e.related
	if !about && !former && !e.hosts.have(r.Host) {
		x.err = errUnknownHost
		return false
	}
	if e.public != "" && (e.plain || x.caller.plain && !about) {
		return e.secured(x, r)
	}
	answers := e.cors
	if e.clients != nil && forClients(r.URL.Path) && (answers == nil || !answers.OriginAllowed(r)) {
		answers = e.clients
	}
	if answers == nil || !forPrograms(r.URL.Path) || e.toConsole(r) {
		return false
	}
	answers.HandlerFunc(x, r)
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// toConsole reports whether a request is to the host that the console has to itself.
func (e *Edge) toConsole(r *http.Request) bool {
	return e != nil && e.console != "" && withoutPort(r.Host) == e.console
}

// forPrograms reports whether a path belongs to the API; the others are pages,
// which no other origin's script has business with.
func forPrograms(path string) bool {
	return strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/.well-known/") || path == "/openapi.json" || slices.Contains(oauthPaths, path)
}

// oauthPaths are those of OAuth that programs call; its others are pages.
var oauthPaths = []string{"/oauth2/token", "/oauth2/par", "/oauth2/userinfo", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/device_authorization",
	"/oauth2/register"}

// forClients reports whether the scripts of applications that people sign in to have business with a path: without credentials, and for
// nothing but their own tokens.
func forClients(path string) bool {
	switch path {
	case "/oauth2/token", "/oauth2/userinfo", "/oauth2/revoke", "/oauth2/register", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
		"/.well-known/jwks.json":
		return true
	}
	return false
}
