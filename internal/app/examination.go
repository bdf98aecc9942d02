package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

const (
	// examineEvery is how often the doctor looks by itself, on one of the replicas.
	examineEvery = time.Hour
	// settling is how long a server that has started is left alone: its jobs have run then.
	settling = time.Minute
)

// examine has the doctor look now.
func (b *base) examine(ctx context.Context) doctor.Report {
	return Deployment{Config: b.config, DB: b.db, Now: b.now, Version: b.version, Built: b.built}.Examine(ctx, b.config.ServiceName)
}

// newExamination has the doctor look each hour: what it found is a metric of all replicas, and what has turned is logged, and an alert.
func newExamination(b *base) (capability, error) {
	began := time.Now() // as jobs do their work by it, whatever the clock says
	look := func(ctx context.Context) error {
		if time.Since(began) < settling {
			return nil
		}
		return b.watchPosture(ctx)
	}
	return capability{
		name: "doctor", metrics: []prometheus.Collector{doctorMetrics{b}},
		jobs: []job.Job{{Name: "examine", Every: settling, Lease: 5 * time.Minute, Run: look}},
	}, nil
}

// watchPosture looks if the last look was long ago, and records what was found.
func (b *base) watchPosture(ctx context.Context) error {
	var last time.Time
	err := b.db.Read(ctx, func(tx *db.Tx) (err error) { last, err = doctor.Looked(tx, lookedAlways); return err })
	if err != nil || b.now().Sub(last) < examineEvery {
		return err
	}
	r := b.examine(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	turned, err := RecordPosture(ctx, b.db, r)
	for _, f := range turned {
		b.log.Warn("a check of the doctor has turned", "check", f.Rule, "severity", string(f.Severity), "found", f.Evidence, "mend", f.Mend)
	}
	return err
}

// lookedAlways is a check that each look has.
const lookedAlways = "ENV-1/environment"

// RecordPosture keeps what the doctor found, and returns what has turned.
func RecordPosture(ctx context.Context, d *db.DB, r doctor.Report) (turned []doctor.Finding, err error) {
	err = d.Write(ctx, func(tx *db.Tx) (err error) { turned, err = r.Record(tx); return err })
	return turned, err
}

// doctorMetrics tells what was found last, on all replicas the same; nothing while the database can't be asked.
type doctorMetrics struct{ b *base }

var doctorFindings = prometheus.NewDesc("gatehouse_doctor_findings", "Checks of the doctor by state (failed, accepted, passed) and severity, as of the last "+
	"hour, on all replicas the same: gatehouse doctor says which.", []string{"state", "severity"}, nil)

// Describe implements prometheus.Collector.
func (doctorMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- doctorFindings }

// Collect implements prometheus.Collector.
func (m doctorMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readyCheck)
	defer cancel()
	var list []doctor.Count
	err := m.b.db.Read(ctx, func(tx *db.Tx) (err error) { list, err = doctor.Counts(tx, m.b.now()); return err })
	if err != nil {
		return
	}
	for _, state := range []doctor.State{doctor.Failed, doctor.Accepted, doctor.Passed} {
		for _, severity := range doctor.Severities() {
			n := 0.0
			if i := slices.IndexFunc(list, func(c doctor.Count) bool { return c.State == string(state) && c.Severity == string(severity) }); i >= 0 {
				n = float64(list[i].N)
			}
			ch <- prometheus.MustNewConstMetric(doctorFindings, prometheus.GaugeValue, n, string(state), string(severity))
		}
	}
}

// Turns says on a line each what has turned.
func Turns(turned []doctor.Finding) string {
	var b strings.Builder
	for _, f := range turned {
		b.WriteString("has turned: " + f.Rule + " [" + string(f.Severity) + "] " + f.Evidence + "\n  → " + f.Mend + "\n")
	}
	return b.String()
}
