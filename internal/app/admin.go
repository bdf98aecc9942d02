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

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// profileTime is how long a profile may take that asks for a number of seconds.
const profileTime = 2 * time.Minute

// adminHandler serves what machines ask about the server itself. Probes come
// every few seconds: those that go well are logged at DEBUG.
func (s *Server) adminHandler(registry *prometheus.Registry, o Options) http.Handler {
	stack := &web.Stack{Log: s.log, Metrics: web.NewMetrics(prometheus.NewRegistry()), Now: o.Now, Quiet: true, Edge: s.adminEdge()}
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
	}{Status: "ready", Checks: map[string]string{"server": "ok", "database": "ok", "revocations": "ok", "keys": "ok"}}
	select {
	case <-s.draining:
		answer.Checks["server"] = "stopping"
	default:
	}
	if s.revoked.Age() > token.FreshFor {
		answer.Checks["revocations"] = "stale"
	}
	if s.ring.Behind() {
		answer.Checks["keys"] = "unreadable"
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyCheck)
	defer cancel()
	if err := s.db.Check(ctx); err != nil {
		answer.Checks["database"] = db.Trouble(err)
		s.log.Warn("readyz: the database does not serve", "request_id", web.Origin(r).RequestID, "trouble", answer.Checks["database"], "error", err.Error())
	}
	for name, why := range map[string]string{"mail": s.mail.waiting(ctx), "redis": s.counting.trouble(), "certificate": s.certificateTrouble(s.now()), "database": s.hazards} {
		if why == "" {
			continue
		}
		if answer.Warnings == nil {
			answer.Warnings = map[string]string{}
		}
		answer.Warnings[name] = why
	}
	status := http.StatusOK
	for _, check := range answer.Checks {
		if check != "ok" {
			status, answer.Status = http.StatusServiceUnavailable, "not_ready"
		}
	}
	return web.WriteJSON(w, status, answer)
}
