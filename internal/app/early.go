package app

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

// waitTold is how long a migration takes that nobody needs to hear of.
const waitTold = 1500 * time.Millisecond

// tellOfWaiting says that the start waits for a migration, if it does for long.
func (b *base) tellOfWaiting() (stop func()) {
	t := time.AfterFunc(waitTold, func() {
		b.log.Info("The database is being migrated, by this replica or by another. Requests are served when that is done.")
	})
	return func() { t.Stop() }
}

// early is the admin listener during the start, which may wait long for a migration:
// who restarts what does not answer healthz must not restart that.
type early struct {
	handler atomic.Pointer[http.Handler]
	serves  bool // before everything has opened
}

// over has the admin listener answer everything from now on.
func (e *early) over(h http.Handler) { e.handler.Store(&h) }

// ServeHTTP implements http.Handler.
func (e *early) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*e.handler.Load()).ServeHTTP(w, r)
}

// serveEarly answers healthz, and readyz with 503, until the start is over. A
// certificate by ACME is in the database: with that, nothing answers before.
func (s *Server) serveEarly() {
	stack := &web.Stack{Log: s.log, Metrics: web.NewMetrics(prometheus.NewRegistry()), Now: s.now, Quiet: true, Edge: s.adminEdge()}
	mux := http.NewServeMux()
	stack.Handle(mux, "GET /healthz", healthz)
	stack.Handle(mux, "GET /readyz", func(w http.ResponseWriter, _ *http.Request) error {
		return web.WriteJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "not_ready", "checks": map[string]string{"server": "starting"}})
	})
	s.broken = make(chan error, len(s.listeners()))
	s.early = &early{}
	s.early.over(stack.Wrap(mux))
	s.admin.http = web.NewServer("", s.early, s.log)
	if s.config.AdminTLS() {
		if s.front.certificate == nil {
			return
		}
		s.admin.http.TLSConfig = web.TLS(s.front.certificate.Get)
	}
	s.early.serves = true
	go func() { s.broken <- s.serveOn(&s.admin) }()
}
