package app

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/limit"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// proxies are the peers that are believed when they say who is calling.
func (s *Server) proxies() *web.Proxies {
	return web.NewProxies(s.config.TrustedProxies, s.config.CloudflareProxies, s.log)
}

// newLimits returns what counts the callers.
func (s *Server) newLimits(ring *keyring.Ring, tally *event.Tally, reg prometheus.Registerer) *flow.Limits {
	c := s.config
	l := &flow.Limits{
		Counter: s.counting.counter,
		API:     rule("api", c.APILimit), Login: rule("login", c.LoginLimit), Registration: rule("registration", c.RegistrationLimit), Reset: rule("password_reset", c.ResetLimit),
		Key: func() []byte { return ring.Key(keyring.Limit) }, Tally: tally,
	}
	l.Count = limitCounter(reg, append(l.MailShares(), l.API, l.Checks(), l.Login, l.Registration, l.ResetNetwork(), l.EmailChange())...)
	return l
}

func rule(name string, l config.Limit) limit.Rule {
	return limit.Rule{Name: name, Limit: l.Count, Window: l.Window}
}

// limitCounter counts what the rules say. All series are there from the start.
func limitCounter(reg prometheus.Registerer, rules ...limit.Rule) func(rule string, allowed bool) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_rate_limit_total", Help: "What was counted under each rate limit, and whether it was within it.",
	}, []string{"rule", "outcome"})
	reg.MustRegister(c)
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
	}
}

// limitRequests counts every request of the public listener: under the account
// whose good access token it has, else under its network. A token that is not
// good is none, so that made-up ones count where they come from. Registered
// applications may ask as often as they are asked themselves.
func (p parts) limitRequests(o Options) web.Limit {
	return func(r *http.Request) (limit.State, error) {
		if p.fromApplication(r) {
			return limit.State{}, nil
		}
		if p.causedByOthers(r) {
			return limit.State{}, p.limits.Check(r.Context(), p.accountOf(r, o), web.Origin(r))
		}
		return p.limits.Request(r.Context(), p.accountOf(r, o), web.Origin(r))
	}
}

// causedByOthers reports whether a request is one that the traffic of applications
// causes, and that is answered from memory: a trusted proxy's check of each request of
// theirs, and the published keys.
func (p parts) causedByOthers(r *http.Request) bool {
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
func (p parts) fromApplication(r *http.Request) bool {
	switch r.URL.Path {
	case "/v1/revocations", "/v1/token/introspect", "/v1/token/revoke":
		id, secret, ok := web.Basic(r)
		return ok && p.api.Clients.Known(id, secret)
	}
	return false
}

// accountOf returns the account of a request's access token, or nothing. It asks
// memory alone, and judges nothing: whoever serves the request does.
func (p parts) accountOf(r *http.Request, o Options) string {
	access, bearer, err := web.Bearer(r)
	if err != nil {
		return ""
	}
	if !bearer {
		access = p.api.Cookies.Access(r)
	}
	if access == "" {
		return ""
	}
	c, err := p.api.Tokens.Verify(access, o.Now())
	if err != nil || p.revoked.Dead(c) {
		return ""
	}
	return c.Subject
}
