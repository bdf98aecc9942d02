package app

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Names, types and labels of metrics stand in docs/metrics.md and stay: dashboards and
// alerts hang on them.

// buildInfo says what is running.
func (b *base) buildInfo() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gatehouse_build_info", Help: "Always 1; its labels say what is running.",
		ConstLabels: prometheus.Labels{"version": b.version, "go_version": runtime.Version(), "database": string(b.db.Dialect())},
	}, func() float64 { return 1 })
}

// eventCounter counts the security events that were committed. Its labels are
// the catalogue's.
func eventCounter() (func(event.Kind, event.Outcome), prometheus.Collector) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_events_total", Help: "Security events written to the log, by name and outcome.",
	}, []string{"event", "outcome"})
	return func(k event.Kind, o event.Outcome) { c.WithLabelValues(string(k), string(o)).Inc() }, c
}

// flowCounter counts how the flows end, those included that write no event. All
// series are there from the start, so that the first of its kind is a rise that
// an alert can see.
func flowCounter() (flow.Count, prometheus.Collector) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_flows_total", Help: "Runs of each use case, by how they ended.",
	}, []string{"flow", "outcome"})
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
	}, c
}

// jobMetrics tells how the background jobs stand.
type jobMetrics struct {
	jobs *job.Runner
	now  func() time.Time
}

var (
	jobOverdue = prometheus.NewDesc("gatehouse_job_overdue_seconds", "How long ago a background job was due that no replica has finished since; 0 if it "+
		"is not due.", []string{"job"}, nil)
	jobFailed = prometheus.NewDesc("gatehouse_job_failed", "1 if the last finished run of a background job failed, on whichever replica.", []string{"job"}, nil)
)

// Describe implements prometheus.Collector.
func (jobMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- jobOverdue; ch <- jobFailed }

// Collect implements prometheus.Collector.
func (m jobMetrics) Collect(ch chan<- prometheus.Metric) {
	now := m.now()
	for name, l := range m.jobs.Last() {
		ch <- prometheus.MustNewConstMetric(jobOverdue, prometheus.GaugeValue, max(0, now.Sub(l.Due).Seconds()), name)
		failed := 0.0
		if l.Failed {
			failed = 1
		}
		ch <- prometheus.MustNewConstMetric(jobFailed, prometheus.GaugeValue, failed, name)
	}
}
