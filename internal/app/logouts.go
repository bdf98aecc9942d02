package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/openid"
)

// newLogouts tells applications that sessions have ended.
func newLogouts(b *base, t *tokens, clients *flow.AuthenticateClient) (capability, error) {
	poster := outbound.NewPoster(!b.config.Production())
	tells := &openid.BackChannel{Core: b.core(), Clients: clients, Tokens: t.issuer, Random: b.random, Post: poster.Post, Log: b.log}
	return capability{
		name: "logouts", loops: []func(context.Context){func(ctx context.Context) { tells.Run(ctx); poster.Close() }},
		jobs:    []job.Job{inBatches(b.db, "tell-sessions-over", time.Minute, tells.RunOut)},
		metrics: []prometheus.Collector{logoutMetrics{b}},
	}, nil
}

// logoutMetrics tells how many notices wait. They are left out while the database is away.
type logoutMetrics struct{ b *base }

var (
	logoutsWaiting = prometheus.NewDesc("gatehouse_logout_notices_waiting", "Applications that have yet to be told that a session has ended, by any replica.",
		nil, nil)
	logoutsOldest = prometheus.NewDesc("gatehouse_logout_notices_oldest_seconds", "How long the oldest of these notices has waited.", nil, nil)
)

// Describe implements prometheus.Collector.
func (logoutMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- logoutsWaiting
	ch <- logoutsOldest
}

// Collect implements prometheus.Collector.
func (m logoutMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readyCheck)
	defer cancel()
	var (
		n     int64
		since time.Time
	)
	err := m.b.db.Read(ctx, func(tx *db.Tx) (err error) {
		n, since, err = grant.NoticesOf(tx)
		return err
	})
	if err != nil {
		return
	}
	age := 0.0
	if n > 0 {
		age = max(0, m.b.now().Sub(since).Seconds())
	}
	ch <- prometheus.MustNewConstMetric(logoutsWaiting, prometheus.GaugeValue, float64(n))
	ch <- prometheus.MustNewConstMetric(logoutsOldest, prometheus.GaugeValue, age)
}
