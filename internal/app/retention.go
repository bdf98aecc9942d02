package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
	"github.com/gatehouse-auth/gatehouse/internal/ops/retention"
)

// alertsKept is how long an alert stays that is over.
const alertsKept = 365 * 24 * time.Hour

// newRetention deletes what is kept long enough.
func newRetention(b *base, m *mailing) (*retention.Keeper, capability, error) {
	k := retentionKeeper(b.config, b.db, b.events, b.jobs, b.now)
	if m.delivery != nil {
		k.Inactive.Outbox = m.outbox
	}
	return k, capability{
		name: "retention", loops: []func(context.Context){func(ctx context.Context) { b.retain(ctx, k) }}, metrics: []prometheus.Collector{retentionMetrics{k}},
	}, nil
}

// administerRetention is what administrators see and do of it.
func administerRetention(a *administration, k *retention.Keeper) capability {
	desk := api.Retention{Administrators: a.admins, Keeper: k}
	return capability{name: "retention's administration", routes: []web.Routes{desk.Routes()}}
}

func retentionKeeper(c *config.Config, d *db.DB, events *event.Log, jobs *job.Runner, now func() time.Time) *retention.Keeper {
	return &retention.Keeper{
		Inactive: retention.Inactive{After: c.Retention.Inactive},
		DB:       d, Events: events, Jobs: jobs, Now: now, Pacer: retention.NewPacer(d),
		Kinds: append(retention.Kinds(retention.Lengths{Tokens: c.Retention.Tokens, Logs: c.Retention.Logs, Sessions: c.Retention.Sessions}),
			retention.Kind{Name: "alerts", Kept: alertsKept, Sweep: alert.Forget}),
		Seal: func(ctx context.Context) error { return operatorSeal(ctx, c, d) },
		Clock: func(ctx context.Context) (time.Time, error) {
			p, err := d.Posture(ctx)
			return p.Clock, err
		},
	}
}

// OperatorRetention opens the database and what deletes there, for one command of the
// operator's: see [Operator].
func OperatorRetention(ctx context.Context, c *config.Config, log, events *slog.Logger) (*retention.Keeper, func() error, error) {
	if err := existing(c); err != nil {
		return nil, nil, err
	}
	d, err := OpenDatabase(ctx, c, log)
	if err != nil {
		return nil, nil, err
	}
	random := secret.Random{}
	if err := prepareOperator(ctx, c, d, log, random); err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	k := retentionKeeper(c, d, event.NewLog(events, random, time.Now, nil), job.NewRunner(d, random.ID(time.Now()), time.Now, log), time.Now)
	if c.SMTPURL != "" {
		ring, err := operatorRing(ctx, c, d)
		if err != nil {
			return nil, nil, errors.Join(err, d.Close())
		}
		k.Inactive.Outbox = notice.NewOutbox(ring.Key(keyring.Outbox), random, time.Now)
	}
	return k, d.Close, nil
}

// retain looks each minute whether retention is due.
func (b *base) retain(ctx context.Context, k *retention.Keeper) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		if err := k.Step(ctx); err != nil && ctx.Err() == nil {
			b.failed(ctx, "What is kept long enough could not all be deleted; it is tried again.", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// retentionTrouble counts what is wrong with retention, for the alert.
func retentionTrouble(tx *db.Tx, now time.Time) (int64, error) {
	st, err := retention.Stand(tx, now)
	return st.Trouble(now), err
}

// retentionMetrics tells how retention stands, on all replicas the same; nothing while the
// database can't be asked.
type retentionMetrics struct{ k *retention.Keeper }

var (
	retentionRan = prometheus.NewDesc("gatehouse_retention_last_run_timestamp_seconds",
		"When retention last ran to its end, since 1970; 0 if never.", nil, nil)
	retentionFailures = prometheus.NewDesc("gatehouse_retention_failures", "How many runs of retention in a row have failed.", nil, nil)
	retentionPaused   = prometheus.NewDesc("gatehouse_retention_paused", "1 while retention is paused, or waits because the clock has leapt; else 0.", nil, nil)
	retentionDeleted  = prometheus.NewDesc("gatehouse_retention_last_deleted", "How many rows of a kind the last run of retention deleted.", []string{"kind"}, nil)
)

// Describe implements prometheus.Collector.
func (retentionMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{retentionRan, retentionFailures, retentionPaused, retentionDeleted} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m retentionMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	st, err := m.k.Standing(ctx)
	if err != nil {
		return
	}
	ran, paused := 0.0, 0.0
	if !st.Ran.IsZero() {
		ran = float64(st.Ran.Unix())
	}
	if st.Hold != nil || st.Wait.After(m.k.Now()) {
		paused = 1
	}
	ch <- prometheus.MustNewConstMetric(retentionRan, prometheus.GaugeValue, ran)
	ch <- prometheus.MustNewConstMetric(retentionFailures, prometheus.GaugeValue, float64(st.Failures))
	ch <- prometheus.MustNewConstMetric(retentionPaused, prometheus.GaugeValue, paused)
	last := map[string]int64{}
	for _, d := range st.Deleted {
		last[d.Kind] = d.Count
	}
	for _, kind := range m.k.Kinds {
		ch <- prometheus.MustNewConstMetric(retentionDeleted, prometheus.GaugeValue, float64(last[kind.Name]), kind.Name)
	}
}
