package app

import (
	"regexp"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/page"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

// announced are the pages that stand in the contract with those who guard an application, and
// are not there yet: their paths are Gatehouse's already, or a guide would have to be read anew when
// they come.
var announced = []string{"/admin", "/privacy", "/terms"}

// kept are folders that are Gatehouse's with all that is in them.
var kept = []string{"/v1/", "/assets/", "/.well-known/"}

// publicRoutes are those of the doors outside the folders that are kept. A test holds
// them against what the capabilities of a running server have.
func publicRoutes() []web.Routes {
	return []web.Routes{
		(&page.SignIn{}).Routes(), (&page.Links{}).Routes(), (&page.Setup{}).Routes(), (&page.Unlock{}).Routes(), page.Assets(),
		(&api.Discovery{}).Routes(),
	}
}

// OwnPaths returns the paths that belong to Gatehouse, as the doors register them: single ones, and
// folders, which end with a slash. An application behind the same host has every other path, among them
// the root, which is Gatehouse's only where it has a host to itself, and what development alone has.
func OwnPaths() []string {
	own := slices.Concat(announced, kept)
	for _, routes := range publicRoutes() {
		for pattern := range routes {
			_, path, _ := strings.Cut(pattern, " ")
			if path == "/" || path == "/{$}" || strings.HasPrefix(path, "/dev/") {
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
