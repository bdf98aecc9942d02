package app

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// observe registers what is measured outside of requests. Names, types and
// labels stand in docs/metrics.md and stay: dashboards and alerts hang on them.
func (s *Server) observe(reg prometheus.Registerer, o Options) {
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatehouse_build_info", Help: "Always 1; its labels say what is running.",
			ConstLabels: prometheus.Labels{"version": o.Version, "go_version": runtime.Version(), "database": string(s.db.Dialect())},
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

	gauge("gatehouse_db_connections_max", "Database connections that may be open; with SQLite, those that read.", func() float64 { return float64(s.db.Stats().Max) })
	gauge("gatehouse_db_connections_open", "Database connections that are open.", func() float64 { return float64(s.db.Stats().Open) })
	gauge("gatehouse_db_connections_in_use", "Database connections at work.", func() float64 { return float64(s.db.Stats().InUse) })
	counter("gatehouse_db_waits_total", "Times that a request waited for a database connection.", func() float64 { return float64(s.db.Stats().Waits) })
	counter("gatehouse_db_wait_seconds_total", "Time that requests waited for a database connection, in seconds.", func() float64 { return s.db.Stats().Waited.Seconds() })
	gauge("gatehouse_revocations_live", "Revocations of access tokens that this replica holds in memory.", func() float64 { return float64(s.revoked.Live()) })
	gauge("gatehouse_revocation_slices_collapsed", "Slices of sessions, of 256, whose older revocations this replica holds as one cut-off, since they are too many.", func() float64 { return float64(s.revoked.Collapsed()) })
	gauge("gatehouse_revocations_age_seconds", "How long ago this replica last asked, and was answered, what has been revoked; over 0.9 it looks each token up.", func() float64 { return s.revoked.Age().Seconds() })
	reg.MustRegister(jobMetrics{s, o.Now}, mailMetrics{s.mail, o.Now})
}

// eventCounter counts the security events that were committed. Its labels are
// the catalogue's.
func eventCounter(reg prometheus.Registerer) func(event.Kind, event.Outcome) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_events_total", Help: "Security events written to the log, by name and outcome.",
	}, []string{"event", "outcome"})
	reg.MustRegister(c)
	return func(k event.Kind, o event.Outcome) { c.WithLabelValues(string(k), string(o)).Inc() }
}

// flowCounter counts how the flows end, those included that write no event. All
// series are there from the start, so that the first of its kind is a rise that
// an alert can see.
func flowCounter(reg prometheus.Registerer) flow.Count {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_flows_total", Help: "Runs of each use case, by how they ended.",
	}, []string{"flow", "outcome"})
	reg.MustRegister(c)
	type key struct{ flow, outcome string }
	series := map[key]prometheus.Counter{}
	for name, outcomes := range flow.Outcomes() {
		for _, outcome := range outcomes {
			series[key{name, outcome}] = c.WithLabelValues(name, outcome)
		}
	}
	return func(name, outcome string) {
		if one, ok := series[key{name, outcome}]; ok {
			one.Inc()
			return
		}
		c.WithLabelValues(name, "other").Inc() // a code that Outcomes lacks
	}
}

// jobMetrics tells how the background jobs stand.
type jobMetrics struct {
	s   *Server
	now func() time.Time
}

var (
	jobOverdue = prometheus.NewDesc("gatehouse_job_overdue_seconds", "How long ago a background job was due that no replica has finished since; 0 if it is not due.", []string{"job"}, nil)
	jobFailed  = prometheus.NewDesc("gatehouse_job_failed", "1 if the last finished run of a background job failed, on whichever replica.", []string{"job"}, nil)
)

// Describe implements prometheus.Collector.
func (jobMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- jobOverdue; ch <- jobFailed }

// Collect implements prometheus.Collector.
func (m jobMetrics) Collect(ch chan<- prometheus.Metric) {
	now := m.now()
	for name, l := range m.s.jobs.Last() {
		ch <- prometheus.MustNewConstMetric(jobOverdue, prometheus.GaugeValue, max(0, now.Sub(l.Due).Seconds()), name)
		failed := 0.0
		if l.Failed {
			failed = 1
		}
		ch <- prometheus.MustNewConstMetric(jobFailed, prometheus.GaugeValue, failed, name)
	}
}
