package app

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gatehouse-auth/gatehouse/internal/db"
	"github.com/gatehouse-auth/gatehouse/internal/event"
	"github.com/gatehouse-auth/gatehouse/internal/web"
)

// adminHandler serves what machines ask about the server itself.
func (s *Server) adminHandler(registry *prometheus.Registry, o Options) http.Handler {
	stack := &web.Stack{Log: s.log, Metrics: web.NewMetrics(prometheus.NewRegistry()), Now: o.Now}
	mux := http.NewServeMux()
	stack.Handle(mux, "GET /healthz", func(w http.ResponseWriter, _ *http.Request) error {
		return web.WriteJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	stack.Handle(mux, "GET /readyz", s.readyz)
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	stack.Handle(mux, "GET /metrics", func(w http.ResponseWriter, r *http.Request) error {
		metrics.ServeHTTP(w, r)
		return nil
	})
	return stack.Wrap(mux)
}

// readyCheck is how long readyz waits for a part.
const readyCheck = 2 * time.Second

// readyz tells whether requests should be sent here, and if not, what is wrong.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) error {
	answer := struct {
		Status string            `json:"status"`
		Checks map[string]string `json:"checks"`
	}{"ready", map[string]string{"server": "ok", "database": "ok"}}
	select {
	case <-s.draining:
		answer.Checks["server"] = "stopping"
	default:
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyCheck)
	defer cancel()
	if err := s.db.Check(ctx); err != nil {
		answer.Checks["database"] = db.Trouble(err)
		s.log.Warn("readyz: the database does not serve", "trouble", answer.Checks["database"], "error", err.Error())
	}
	status := http.StatusOK
	for _, check := range answer.Checks {
		if check != "ok" {
			status, answer.Status = http.StatusServiceUnavailable, "not_ready"
		}
	}
	return web.WriteJSON(w, status, answer)
}

// observe registers what is measured outside of requests.
func (s *Server) observe(reg prometheus.Registerer, version string) {
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatehouse_build_info", Help: "Always 1; its labels say what is running.",
			ConstLabels: prometheus.Labels{"version": version, "go_version": runtime.Version(), "database": string(s.db.Dialect())},
		}, func() float64 { return 1 }),
	)
	gauge := func(name, help string, value func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	counter := func(name, help string, value func() float64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
	}
	gauge("gatehouse_hashing_workers", "Password hashes that may be worked on at once.", func() float64 { return float64(s.hasher.Stats().Workers) })
	gauge("gatehouse_hashing_busy", "Password hashes being worked on.", func() float64 { return float64(s.hasher.Stats().Busy) })
	gauge("gatehouse_hashing_queued", "Requests that wait for a password hash.", func() float64 { return float64(s.hasher.Stats().Queued) })
	counter("gatehouse_hashing_done_total", "Password hashes finished.", func() float64 { return float64(s.hasher.Stats().Done) })
	counter("gatehouse_hashing_shed_total", "Requests refused because too many waited for a password hash.", func() float64 { return float64(s.hasher.Stats().Shed) })

	gauge("gatehouse_db_connections_max", "Database connections that may be open.", func() float64 { return float64(s.db.Stats().Max) })
	gauge("gatehouse_db_connections_open", "Database connections that are open.", func() float64 { return float64(s.db.Stats().Open) })
	gauge("gatehouse_db_connections_in_use", "Database connections at work.", func() float64 { return float64(s.db.Stats().InUse) })
	counter("gatehouse_db_waits_total", "Times that a request waited for a database connection.", func() float64 { return float64(s.db.Stats().Waits) })
	counter("gatehouse_db_wait_seconds_total", "Time that requests waited for a database connection.", func() float64 { return s.db.Stats().Waited.Seconds() })
	reg.MustRegister(jobMetrics{s})
}

// eventCounter counts the security events that were committed. Its labels are
// the catalogue's.
func eventCounter(reg prometheus.Registerer) func(event.Kind, event.Outcome) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_events_total", Help: "Security events, by name and outcome.",
	}, []string{"event", "outcome"})
	reg.MustRegister(c)
	return func(k event.Kind, o event.Outcome) { c.WithLabelValues(string(k), string(o)).Inc() }
}

// jobMetrics tells how the background jobs stand.
type jobMetrics struct{ s *Server }

var (
	jobOverdue = prometheus.NewDesc("gatehouse_job_overdue_seconds", "How long ago a background job was due, on any replica; 0 if it is not.", []string{"job"}, nil)
	jobFailed  = prometheus.NewDesc("gatehouse_job_failed", "Whether the last run of a background job on this replica failed.", []string{"job"}, nil)
)

// Describe implements prometheus.Collector.
func (jobMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- jobOverdue; ch <- jobFailed }

// Collect implements prometheus.Collector.
func (m jobMetrics) Collect(ch chan<- prometheus.Metric) {
	for name, l := range m.s.jobs.Last() {
		ch <- prometheus.MustNewConstMetric(jobOverdue, prometheus.GaugeValue, max(0, time.Since(l.Due).Seconds()), name)
		failed := 0.0
		if l.Failed {
			failed = 1
		}
		ch <- prometheus.MustNewConstMetric(jobFailed, prometheus.GaugeValue, failed, name)
	}
}
