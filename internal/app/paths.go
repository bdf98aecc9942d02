package app

import (
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/console"
	"github.com/gatehouse-auth/gatehouse/internal/door/oauth"
	"github.com/gatehouse-auth/gatehouse/internal/door/page"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

// kept are folders that are Gatehouse's with all that is in them.
var kept = []string{"/v1/", "/admin/", "/assets/", "/oauth2/", "/.well-known/"}

// publicRoutes are those of the doors outside the folders that are kept. A test holds
// them against what the capabilities of a running server have.
func publicRoutes() []web.Routes {
	return []web.Routes{
		(&page.SignIn{}).Routes(), (&page.Links{}).Routes(), (&page.Setup{}).Routes(), (&page.Unlock{}).Routes(), page.Assets(nil),
		(&page.Root{}).Routes(), (&page.Enrol{}).Routes(), (&page.Account{}).Routes(), (&page.Documents{}).Routes(), (&console.Console{}).Routes(),
		(&api.Discovery{}).Routes(), (&oauth.Provider{}).Routes(), (&page.Authorize{}).Routes(), (&page.Upstream{}).Routes(),
		(&page.Device{}).Routes(),
	}
}

// OwnPaths returns the paths that belong to Gatehouse, as the doors register them: single ones, and
// folders, which end with a slash. An application behind the same host has every other path, among them
// the root, which is Gatehouse's only where it has a host to itself, and what development alone has.
func OwnPaths() []string {
	own := slices.Clone(kept)
	for _, routes := range publicRoutes() {
		for pattern := range routes {
			_, path, _ := strings.Cut(pattern, " ")
			if applications(path) {
				continue
			}
			if before, _, folder := strings.Cut(path, "{"); folder {
				path = before
			}
			if !slices.ContainsFunc(kept, func(folder string) bool { return strings.HasPrefix(path, folder) }) {
				own = append(own, path)
			}
		}
	}
	slices.Sort(own)
	return slices.Compact(own)
}

// OwnPathsExpression returns a regular expression for [OwnPaths], which nginx, Caddy and Traefik read alike.
func OwnPathsExpression() string {
	var parts []string
	for _, path := range OwnPaths() {
		part := strings.TrimPrefix(regexp.QuoteMeta(path), "/")
		if strings.HasSuffix(path, "/") {
			part += ".*"
		}
		parts = append(parts, part)
	}
	return "^/(" + strings.Join(parts, "|") + ")$"
}

// applications reports whether a path is left to an application on the same host,
// although Gatehouse serves it where it has a host to itself, on an application's own, or in development.
func applications(path string) bool {
	return strings.HasPrefix(path, "/.gatehouse/") || path == "/{$}" || path == "/favicon.ico" || path == "/robots.txt" || strings.HasPrefix(path, "/dev/")
}

// Routes returns the patterns of all that is served on the public listener, sorted:
// docs/authorization.md has a line for each.
func (s *Server) Routes() (patterns []string) {
	for _, c := range s.capabilities {
		for _, r := range c.routes {
			for pattern := range r {
				patterns = append(patterns, pattern)
			}
		}
	}
	slices.Sort(patterns)
	return patterns
}
