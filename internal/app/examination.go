package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// examineEvery is how often each server has the doctor look by itself.
const examineEvery = time.Hour

// examine has the doctor look now.
func (b *base) examine(ctx context.Context) doctor.Report {
	r := doctor.Run(ctx, Deployment{Config: b.config, DB: b.db, Now: b.now, Version: b.version}.Checks(), b.now())
	r.Version, r.Service = b.version, b.config.ServiceName
	return r
}

// examination is what the doctor found last on this server.
type examination struct {
	*base
	found *prometheus.GaugeVec
	last  map[string]doctor.State // of the one loop that looks
}

// newExamination has the doctor look each hour: its figures are metrics, and what has turned is logged.
func newExamination(b *base) (capability, error) {
	e := &examination{base: b, last: map[string]doctor.State{}, found: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "gatehouse_doctor_findings",
		Help: "Checks of the doctor by state (failed, unknown, passed, not_applicable) and severity, as of the last hour: gatehouse doctor says which.",
	}, []string{"state", "severity"})}
	return capability{name: "doctor", metrics: []prometheus.Collector{e.found}, loops: []func(context.Context){e.watch}}, nil
}

// watch looks a minute after the start, when jobs have run, and then each hour.
func (e *examination) watch(ctx context.Context) {
	for wait := time.Minute; ; wait = examineEvery {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
			e.look(ctx)
		}
	}
}

func (e *examination) look(ctx context.Context) {
	r := e.examine(ctx)
	if ctx.Err() != nil {
		return
	}
	e.found.Reset()
	for _, f := range r.Findings {
		e.found.WithLabelValues(string(f.State), string(f.Severity)).Inc()
	}
	for _, f := range r.Findings {
		was, seen := e.last[f.Rule]
		e.last[f.Rule] = f.State
		if seen && was == doctor.Passed && f.State == doctor.Failed {
			e.log.Warn("a check of the doctor has turned", "check", f.Rule, "severity", string(f.Severity), "found", f.Evidence, "mend", f.Mend)
		}
	}
}
