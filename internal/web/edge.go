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
	hsts bool
	cors *cors.Cors
}

// EdgeConfig is the settings that an Edge follows.
type EdgeConfig struct {
	// PublicURL is the origin that people use.
	PublicURL string
	// Origins are those of the web applications whose scripts may read our
	// answers, each as browsers write it (CORS_ORIGINS).
	Origins []string
}

// preflightLife is how long browsers may keep the answer to a preflight: as
// long as any of them does.
const preflightLife = 2 * time.Hour

// NewEdge makes the Edge of the public listener.
func NewEdge(c EdgeConfig) *Edge {
	host, https := strings.CutPrefix(c.PublicURL, "https://")
	host, _, _ = strings.Cut(host, ":")
	// Browsers take HSTS for all of localhost, so for each developer's server.
	e := &Edge{hsts: https && host != "localhost" && !strings.HasSuffix(host, ".localhost")}
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
				"X-Request-Id", "Retry-After", "RateLimit", "RateLimit-Policy", "WWW-Authenticate",
			},
			AllowCredentials: true,
			MaxAge:           int(preflightLife / time.Second),
		})
	}
	return e
}

// enter sets the headers that depend on the request. It reports whether that
// was all: a preflight has its whole answer then.
func (e *Edge) enter(w http.ResponseWriter, r *http.Request) (done bool) {
	if e == nil {
		return false
	}
	if e.hsts && Secure(r) {
		w.Header()["Strict-Transport-Security"] = transportSecurity
	}
	if e.cors == nil || !forPrograms(r.URL.Path) {
		return false
	}
	e.cors.HandlerFunc(w, r)
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// forPrograms reports whether a path belongs to the API; the others are pages,
// which no other origin's script has business with.
func forPrograms(path string) bool {
	return strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/.well-known/") || path == "/openapi.json"
}
