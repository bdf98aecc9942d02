package app

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// strangerChecks judge how a stranger is answered.
func (o *Outside) strangerChecks() []doctor.Check {
	return []doctor.Check{
		o.check("NET-2", "cookies", "Cookies are Secure, HttpOnly and SameSite, and of this host alone", doctor.High, o.each(cookies,
			"Leave SESSION_COOKIE_SECURE and SESSION_COOKIE_HTTPONLY on; and see that the proxy does not rewrite Set-Cookie.")),
		o.check("NET-3", "origin", "A site that is not named gets no answer by CORS", doctor.Critical, o.origins),
		o.check("NET-5", "reach", "Strangers don't reach what is for operators", doctor.Critical, o.reach),
		o.check("RATE-2", "limits", "Limits are in force", doctor.High, o.limits),
		o.check("HDR-1", "headers", "Every answer carries the security headers", doctor.High, o.each(headers,
			"Take add_header, more_set_headers and the like for these out of the proxy's configuration: Gatehouse sends them itself.")),
		o.check("HDR-1", "cache", "Nothing that concerns a person is kept on the way", doctor.High, o.each(cached,
			"Take caching of this host out of the proxy or CDN, and see that it passes Cache-Control on.")),
		o.check("HDR-2", "server", "Nothing is told of the server's version", doctor.Low, o.each(func(s seen) string {
			for _, name := range []string{"Server", "X-Powered-By", "Via", "X-Aspnet-Version", "X-Generator"} {
				if v := s.header.Get(name); strings.ContainsAny(v, "0123456789") && strings.Contains(v, "/") {
					return name + ": " + v
				}
			}
			return ""
		}, "In nginx: server_tokens off; gatehouse nginx prints a configuration with it.")),
	}
}

// each asks the same of every answer to a stranger: judge says what is wrong with one, or nothing.
func (o *Outside) each(judge func(seen) string, mend string) func(context.Context) doctor.Answer {
	return func(context.Context) doctor.Answer {
		list, err := o.pages()
		if err != nil {
			return doctor.Skip(mendReach, err)
		}
		var names []string
		for _, s := range list {
			if wrong := judge(s); wrong != "" {
				return doctor.Fail(mend, "%s (%d): %s", s, s.status, wrong)
			}
			names = append(names, fmt.Sprintf("%s (%d)", s, s.status))
		}
		return doctor.Pass("%s", strings.Join(names, ", "))
	}
}

func cookies(s seen) string {
	for _, line := range s.header.Values("Set-Cookie") {
		c, err := http.ParseSetCookie(line)
		switch {
		case err != nil:
			return "a cookie that can't be read"
		case !c.Secure:
			return c.Name + " is not Secure"
		case !c.HttpOnly && !strings.Contains(c.Name, csrfCookieName):
			return c.Name + " is not HttpOnly"
		case c.SameSite != http.SameSiteLaxMode && c.SameSite != http.SameSiteStrictMode:
			return c.Name + " has no SameSite"
		case c.Domain != "":
			return c.Name + " goes to other hosts too (Domain=" + c.Domain + ")"
		}
	}
	return ""
}

// csrfCookieName is of the one cookie that scripts of ours read.
const csrfCookieName = "gatehouse_csrf"

// once are headers that each answer has just once: of two, browsers take either.
var once = []string{
	"Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Permissions-Policy", "Cross-Origin-Opener-Policy",
	"Cross-Origin-Resource-Policy",
}

func headers(s seen) string {
	for _, name := range once {
		switch n := len(s.header.Values(name)); {
		case n == 0:
			return "no " + name
		case n > 1:
			return name + " twice, of which browsers take either"
		}
	}
	policy := s.header.Get("Content-Security-Policy")
	switch {
	case strings.Contains(policy, "'unsafe-inline'") || strings.Contains(policy, "'unsafe-eval'"):
		return "Content-Security-Policy: " + policy
	case !strings.Contains(policy, "frame-ancestors"):
		return "no frame-ancestors"
	case s.header.Get("X-Content-Type-Options") != "nosniff":
		return "no X-Content-Type-Options: nosniff"
	case s.header.Get("X-Frame-Options") != "DENY":
		return "X-Frame-Options: " + s.header.Get("X-Frame-Options")
	}
	return ""
}

// kept by anybody may be what is the same for all.
var forAll = []string{"/.well-known/", "/assets/"}

func cached(s seen) string {
	if slices.ContainsFunc(forAll, func(folder string) bool { return strings.HasPrefix(s.path, folder) }) {
		return ""
	}
	switch {
	case !strings.Contains(s.header.Get("Cache-Control"), "no-store"):
		return "Cache-Control: " + s.header.Get("Cache-Control")
	case s.header.Get("Age") != "" && s.header.Get("Age") != "0":
		return "it has been kept for " + s.header.Get("Age") + " seconds"
	}
	return ""
}

// hostiles are origins that no operator names: those of strangers, and some that are like those that are named.
func (o *Outside) hostiles() []string {
	list := []string{hostile, "null", "http://" + o.url.Hostname(), "https://" + o.url.Hostname() + ".hostile.example"}
	for _, origin := range o.Origins[:min(len(o.Origins), 2)] {
		host := strings.TrimPrefix(strings.TrimPrefix(origin, "https://"), "http://")
		list = append(list, origin+".hostile.example", "https://hostile-"+host)
	}
	return slices.DeleteFunc(list, func(origin string) bool { return slices.Contains(o.Origins, origin) })
}

// origins asks as scripts of hostile sites would, with and without a preflight.
func (o *Outside) origins(ctx context.Context) doctor.Answer {
	var list []asking
	for _, origin := range o.hostiles() {
		list = append(list, asking{method: http.MethodGet, path: "/v1/me", header: http.Header{"Origin": {origin}}},
			asking{method: http.MethodOptions, path: "/v1/me", header: http.Header{
				"Origin": {origin}, "Access-Control-Request-Method": {"PATCH"}, "Access-Control-Request-Headers": {"authorization,content-type"},
			}})
	}
	list = append(list, asking{method: http.MethodGet, path: "/.well-known/jwks.json", header: http.Header{"Origin": {hostile}}},
		asking{method: http.MethodGet, path: "/login", header: http.Header{"Origin": {hostile}}})
	answers, err := o.together(ctx, list)
	if err != nil {
		return doctor.Skip(mendReach, err)
	}
	for _, s := range answers {
		for _, allowed := range s.header.Values("Access-Control-Allow-Origin") {
			if origin := s.asking.header.Get("Origin"); allowed == "*" || allowed == origin {
				return doctor.Fail("Take Access-Control-Allow-Origin out of the proxy's configuration: Gatehouse answers by CORS_ORIGINS.",
					"%s for %s (%d): Access-Control-Allow-Origin: %s", s, origin, s.status, allowed)
			}
		}
	}
	return doctor.Pass("%s are answered nothing", strings.Join(o.hostiles(), ", "))
}

// operatorsOnly are paths of the other listener, of what else runs on machines, and of files: none is for strangers.
var operatorsOnly = []string{
	"/metrics", "/readyz", "/healthz", "/debug/pprof/", "/dev/mail", "/.env", "/.git/HEAD", "/gatehouse.db", "/jwt_secret_key", "/event_key",
	"/data/gatehouse.db", "/nginx_status", "/server-status", "/actuator/env",
}

func (o *Outside) reach(ctx context.Context) doctor.Answer {
	var list []asking
	for _, path := range operatorsOnly {
		list = append(list, asking{method: http.MethodGet, path: path})
	}
	answers, err := o.together(ctx, list)
	if err != nil {
		return doctor.Skip(mendReach, err)
	}
	var open []string
	for _, s := range answers {
		if s.status < 300 || s.status == http.StatusServiceUnavailable && s.path == "/readyz" {
			open = append(open, fmt.Sprintf("%s (%d)", s.path, s.status))
		}
	}
	if len(open) > 0 {
		return doctor.Fail("Have the proxy pass requests to LISTEN_ADDR, and nothing to ADMIN_LISTEN_ADDR or to files; and unset ENVIRONMENT=development.",
			"strangers get %s", strings.Join(open, ", "))
	}
	return doctor.Pass("%s are not there", strings.Join(operatorsOnly, ", "))
}

func (o *Outside) limits(context.Context) doctor.Answer {
	list, err := o.pages()
	if err != nil {
		return doctor.Skip(mendReach, err)
	}
	i := slices.IndexFunc(list, func(s seen) bool { return s.path == "/v1/me" })
	policy := list[i].header.Get("RateLimit-Policy")
	if policy == "" || list[i].header.Get("RateLimit") == "" {
		return doctor.Fail("See that the proxy passes RateLimit and RateLimit-Policy on, and leads to a Gatehouse.", "/v1/me (%d) names no limit", list[i].status)
	}
	return doctor.Pass("%s; --probe tries them", policy)
}
