package app

import (
	"context"
	"net/http"
	"net/http/pprof" // what it puts into the default mux, nobody serves
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

// profileTime is how long a profile may take that asks for a number of seconds.
const profileTime = 2 * time.Minute

// adminHandler serves what machines ask about the server itself. Probes come
// every few seconds: those that go well are logged at DEBUG.
func (s *Server) adminHandler(registry *prometheus.Registry) http.Handler {
	stack := &web.Stack{Log: s.log, Metrics: web.NewMetrics(prometheus.NewRegistry()), Now: s.now, Quiet: true, Edge: s.adminEdge()}
	if s.config.AdminPprof {
		stack.Timeout = profileTime
	}
	mux := http.NewServeMux()
	for pattern, h := range s.adminRoutes(promhttp.HandlerFor(registry, promhttp.HandlerOpts{})) {
		if strings.HasPrefix(pattern, "GET /debug/") {
			h = s.forAnHour(h)
		}
		stack.Handle(mux, pattern, h)
	}
	return stack.Wrap(mux)
}

// adminRoutes is what docs/operations.md lists, no less and no more: a test
// holds the two together.
func (s *Server) adminRoutes(metrics http.Handler) map[string]web.Handler {
	routes := map[string]web.Handler{
		"GET /healthz": healthz,
		"GET /readyz":  s.readyz,
		"GET /metrics": standard(metrics),
	}
	if s.config.AdminPprof {
		routes["GET /debug/pprof/{profile...}"] = standard(http.HandlerFunc(pprof.Index))
		routes["GET /debug/pprof/profile"] = standard(http.HandlerFunc(pprof.Profile))
		routes["GET /debug/pprof/trace"] = standard(http.HandlerFunc(pprof.Trace))
	}
	return routes
}

// adminEdge is what the admin listener knows of its names: a page of a stranger's, whose
// name points to this machine, reads nothing here (DNS rebinding).
func (s *Server) adminEdge() *web.Edge {
	names := s.config.HostNames()
	if own, err := os.Hostname(); err == nil {
		names = append(names, own)
	}
	return web.NewEdge(web.EdgeConfig{Hosts: names, Loopback: true, Internal: true})
}

// profilesLast is for how long after a start production serves profiles: who forgets to
// switch them off again leaves nothing open (ASVS V13.4.2).
const profilesLast = time.Hour

var errProfilesOver = fault.New(fault.NotFound, "profiles_over", "ADMIN_PPROF ends an hour after the start in production. Start again to take more profiles.")

func (s *Server) forAnHour(h web.Handler) web.Handler {
	until := s.now().Add(profilesLast)
	return func(w http.ResponseWriter, r *http.Request) error {
		if s.config.Production() && s.now().After(until) {
			return errProfilesOver
		}
		return h(w, r)
	}
}

// standard makes a web.Handler of a handler that answers its own errors.
func standard(h http.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

func healthz(w http.ResponseWriter, _ *http.Request) error {
	return web.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyCheck is how long readyz waits for a part.
const readyCheck = 2 * time.Second

// readyz tells whether requests should be sent here, and if not, what is wrong.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) error {
	answer := struct {
		Status string            `json:"status"`
		Checks map[string]string `json:"checks"`
		// Warnings are what an operator should mend, and no other replica would do
		// better.
		Warnings map[string]string `json:"warnings,omitempty"`
	}{Status: "ready", Checks: map[string]string{"server": "ok"}}
	select {
	case <-s.leaving:
		answer.Checks["server"] = "stopping"
	default:
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyCheck)
	defer cancel()
	for _, c := range s.capabilities {
		for _, check := range c.checks {
			answer.Checks[check.name] = s.ask(ctx, r, check)
		}
		for _, check := range c.warnings {
			if why := s.ask(ctx, r, check); why != "ok" {
				if answer.Warnings == nil {
					answer.Warnings = map[string]string{}
				}
				answer.Warnings[check.name] = why
			}
		}
	}
	status := http.StatusOK
	for _, check := range answer.Checks {
		if check != "ok" {
			status, answer.Status = http.StatusServiceUnavailable, "not_ready"
		}
	}
	return web.WriteJSON(w, status, answer)
}

// ask asks one check, and returns "ok" or what is wrong.
func (s *Server) ask(ctx context.Context, r *http.Request, c check) string {
	trouble, err := c.ask(ctx)
	if err != nil {
		s.log.Warn("readyz: the "+c.name+" does not serve", "request_id", web.Origin(r).RequestID, "trouble", trouble, "error", err.Error())
	}
	if trouble == "" {
		return "ok"
	}
	return trouble
}

// newAdmin serves what machines ask about the server, until the requests of the public
// listener and what runs in the background have ended.
func (s *Server) newAdmin() (capability, error) {
	return capability{name: "admin listener", close: func() error { return notClosed(s.admin.http.Close()) }}, nil
}
