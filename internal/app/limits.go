package app

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/limit"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/application"
)

// newProxies returns the peers that are believed when they say who is calling.
func newProxies(c *config.Config, log *slog.Logger) *web.Proxies {
	return web.NewProxies(c.TrustedProxies, c.CloudflareProxies, log)
}

// newLimits counts the callers.
func newLimits(b *base, by *counting, t *tokens, clients *flow.AuthenticateClient, who api.Caller) (*flow.Limits, *callers, capability, error) {
	c := b.config
	l := &flow.Limits{
		Counter: by.counter,
		API:     rule("api", c.APILimit), Login: rule("login", c.LoginLimit),
		Registration: rule("registration", c.RegistrationLimit), Reset: rule("password_reset", c.ResetLimit),
		Key: func() []byte { return b.ring.Key(keyring.Limit) }, Tally: b.tally,
	}
	rules := append(l.MailShares(), l.EmailChange(), l.Pending(), l.Export())
	rules = append(rules, l.UserCodes()...)
	for _, r := range []limit.Rule{l.API, l.Checks(), l.Login, l.Registration, l.ResetNetwork(), l.SelfClients()} {
		rules = append(rules, r, flow.Site(r))
	}
	count, counted := limitCounter(rules...)
	l.Count = count
	return l, &callers{t, l, clients, who.Cookies, who.Authenticate}, capability{name: "rate limits", metrics: []prometheus.Collector{counted}}, nil
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
	who     *application.Authenticate
}

// limit counts every request of the public listener: under the account
// whose good access token it has, or whose session's refresh cookie, if that was seen to be good within
// the last seconds, else under its network. A token that is not
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
// causes, and that is answered from memory or for them: a trusted proxy's check of each request of
// theirs, the published keys, and what one application on a server asks for all its people.
func causedByOthers(r *http.Request) bool {
	switch r.URL.Path {
	case "/v1/forward-auth":
		return web.Proxied(r)
	case "/.well-known/jwks.json", "/oauth2/token", userInfo:
		return true
	}
	return false
}

// fromApplication reports whether a registered application, with its secret, asks
// what only these may ask.
func (c *callers) fromApplication(r *http.Request) bool {
	switch r.URL.Path {
	case "/v1/revocations", "/v1/token/introspect", "/v1/token/revoke", "/oauth2/token", "/oauth2/par", "/oauth2/introspect", "/oauth2/revoke":
		id, secret, ok := web.Basic(r)
		return ok && c.clients.Known(id, secret)
	}
	return false
}

// accountOf returns the account of a request's access token, or of its cookies, or
// nothing. It asks memory alone, and judges nothing: whoever serves the request does. For most of a
// working day a browser has the refresh cookie alone: the checks of its requests renew nothing.
func (c *callers) accountOf(r *http.Request) string {
	access, bearer, err := web.Bearer(r)
	if err != nil {
		return ""
	}
	if bearer && r.URL.Path == userInfo {
		return c.subjectFor(access, c.config.PublicURL+userInfo)
	}
	if bearer {
		return c.subject(access)
	}
	if account := c.subject(c.cookies.Access(r)); account != "" {
		return account
	}
	return c.who.Recognize(c.cookies.Refresh(r))
}

// subject returns the account of a good access token, or nothing.
func (c *callers) subject(access string) string { return c.subjectFor(access, c.issuer.Audience()) }

func (c *callers) subjectFor(access, audience string) string {
	if access == "" {
		return ""
	}
	claims, err := c.issuer.VerifyFor(access, audience, c.now())
	if err != nil || c.revoked.Dead(claims) {
		return ""
	}
	return claims.Subject
}
