package app

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/limit"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// newProxies returns the peers that are believed when they say who is calling.
func newProxies(c *config.Config, log *slog.Logger) *web.Proxies {
	return web.NewProxies(c.TrustedProxies, c.CloudflareProxies, log)
}

// newLimits counts the callers.
func newLimits(b *base, by *counting, t *tokens, clients *flow.AuthenticateClient, cookies *web.Cookies) (*flow.Limits, *callers, capability, error) {
	c := b.config
	l := &flow.Limits{
		Counter: by.counter,
		API:     rule("api", c.APILimit), Login: rule("login", c.LoginLimit),
		Registration: rule("registration", c.RegistrationLimit), Reset: rule("password_reset", c.ResetLimit),
		Key: func() []byte { return b.ring.Key(keyring.Limit) }, Tally: b.tally,
	}
	count, counted := limitCounter(append(l.MailShares(), l.API, l.Checks(), l.Login, l.Registration, l.ResetNetwork(), l.EmailChange())...)
	l.Count = count
	return l, &callers{t, l, clients, cookies}, capability{name: "rate limits", metrics: []prometheus.Collector{counted}}, nil
}

func rule(name string, l config.Limit) limit.Rule {
	return limit.Rule{Name: name, Limit: l.Count, Window: l.Window}
}

// limitCounter counts what the rules say. All series are there from the start.
func limitCounter(rules ...limit.Rule) (func(rule string, allowed bool), prometheus.Collector) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_rate_limit_total", Help: "What was counted under each rate limit, and whether it was within it.",
	}, []string{"rule", "outcome"})
	type pair [2]prometheus.Counter
	series := map[string]pair{}
	for _, r := range rules {
		series[r.Name] = pair{c.WithLabelValues(r.Name, "allowed"), c.WithLabelValues(r.Name, "limited")}
	}
	return func(rule string, allowed bool) {
		if allowed {
			series[rule][0].Inc()
			return
		}
		series[rule][1].Inc()
	}, c
}

// callers tells whose each request is, as far as memory knows.
type callers struct {
	*tokens
	limits  *flow.Limits
	clients *flow.AuthenticateClient
	cookies *web.Cookies
}

// limit counts every request of the public listener: under the account
// whose good access token it has, else under its network. A token that is not
// good is none, so that made-up ones count where they come from. Registered
// applications may ask as often as they are asked themselves.
func (c *callers) limit(r *http.Request) (limit.State, error) {
	if c.fromApplication(r) {
		return limit.State{}, nil
	}
	if causedByOthers(r) {
		return limit.State{}, c.limits.Check(r.Context(), c.accountOf(r), web.Origin(r))
	}
	return c.limits.Request(r.Context(), c.accountOf(r), web.Origin(r))
}

// causedByOthers reports whether a request is one that the traffic of applications
// causes, and that is answered from memory: a trusted proxy's check of each request of
// theirs, and the published keys.
func causedByOthers(r *http.Request) bool {
	switch r.URL.Path {
	case "/v1/forward-auth":
		return web.Proxied(r)
	case "/.well-known/jwks.json":
		return true
	}
	return false
}

// fromApplication reports whether a registered application, with its secret, asks
// what only these may ask.
func (c *callers) fromApplication(r *http.Request) bool {
	switch r.URL.Path {
	case "/v1/revocations", "/v1/token/introspect", "/v1/token/revoke":
		id, secret, ok := web.Basic(r)
		return ok && c.clients.Known(id, secret)
	}
	return false
}

// accountOf returns the account of a request's access token, or nothing. It asks
// memory alone, and judges nothing: whoever serves the request does.
func (c *callers) accountOf(r *http.Request) string {
	access, bearer, err := web.Bearer(r)
	if err != nil {
		return ""
	}
	if !bearer {
		access = c.cookies.Access(r)
	}
	if access == "" {
		return ""
	}
	claims, err := c.issuer.Verify(access, c.now())
	if err != nil || c.revoked.Dead(claims) {
		return ""
	}
	return claims.Subject
}
