package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

// newIncidents has administrators respond to incidents, and goes on with what was not done to its end.
func newIncidents(b *base, t *tokens, a *administration) (*respond.Desk, capability) {
	d := &respond.Desk{
		Core: b.core(), Random: b.random, Operator: a.people.Operator, Blocks: a.blocks,
		Keys: func(context.Context) (*operate.Keys, error) { return t.keys, nil },
	}
	calls := api.Incidents{Administrators: a.admins, Desk: d, Service: b.config.ServiceName}
	return d, capability{
		name: "incidents", routes: []web.Routes{calls.Routes()},
		jobs:    []job.Job{{Name: "continue-incidents", Every: 15 * time.Second, Lease: 10 * time.Minute, Run: d.Continue}},
		metrics: []prometheus.Collector{incidentMetrics{b}},
	}
}

// incidentMetrics tells how many incidents are open, and what is closed; nothing while the database can't be asked.
type incidentMetrics struct{ b *base }

var (
	incidentsOpen = prometheus.NewDesc("gatehouse_incidents_open", "Incidents that are open.", nil, nil)
	incidentsDue  = prometheus.NewDesc("gatehouse_incident_due_timestamp_seconds",
		"When the 72 hours of the first open incident end, since 1970; 0 if none is open.", nil, nil)
	approvalsWaiting = prometheus.NewDesc("gatehouse_approvals_waiting",
		"Orders that wait for a second person to approve them (APPROVALS=two), for four hours at most.", nil, nil)
	doorsShut = prometheus.NewDesc("gatehouse_lockdown", "1 while this is closed because of an incident, as this replica knows; else 0.", []string{"door"}, nil)
)

// Describe implements prometheus.Collector.
func (incidentMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- incidentsOpen
	ch <- incidentsDue
	ch <- approvalsWaiting
	ch <- doorsShut
}

// Collect implements prometheus.Collector.
func (m incidentMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, door := range lockdown.Doors {
		shut := 0.0
		if m.b.lockdown.Closed(door) {
			shut = 1
		}
		ch <- prometheus.MustNewConstMetric(doorsShut, prometheus.GaugeValue, shut, string(door))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var (
		n, waiting int64
		due        time.Time
	)
	err := m.b.db.Read(ctx, func(tx *db.Tx) (err error) {
		if n, due, err = incident.CountOpen(tx); err == nil {
			waiting, err = incident.CountWaiting(tx, m.b.now())
		}
		return err
	})
	if err != nil {
		return
	}
	at := 0.0
	if !due.IsZero() {
		at = float64(due.Unix())
	}
	ch <- prometheus.MustNewConstMetric(incidentsOpen, prometheus.GaugeValue, float64(n))
	ch <- prometheus.MustNewConstMetric(approvalsWaiting, prometheus.GaugeValue, float64(waiting))
	ch <- prometheus.MustNewConstMetric(incidentsDue, prometheus.GaugeValue, at)
}

// OperatorIncidents opens the database and what incidents are worked on with, for one command of the operator's: see [Operator].
func OperatorIncidents(ctx context.Context, c *config.Config, log, events *slog.Logger) (*respond.Desk, func() error, error) {
	if err := existing(c); err != nil {
		return nil, nil, err
	}
	o, done, err := Operator(ctx, c, log, events)
	if err != nil {
		return nil, nil, err
	}
	return &respond.Desk{
		Core: o.Core, Random: secret.Random{}, Operator: o, Blocks: OperatorBlocks(c, o),
		Keys: func(ctx context.Context) (*operate.Keys, error) {
			return operatorKeys(ctx, c, o.DB, log, events)
		},
	}, done, nil
}

// Freezing is what evidence is frozen with: the recipients are those of backups, unless others are named. version is the program's.
func Freezing(c *config.Config, recipients, version string) (f respond.Freezing, err error) {
	if recipients == "" {
		recipients = c.Backups.Recipients
	}
	to, err := backup.ParseRecipients(recipients)
	if err != nil {
		return f, fault.Field("recipient", "invalid_recipient", "The recipient can't be used: %s.", err.Error())
	}
	f = respond.Freezing{Recipients: to.Keys(), Settings: settingsInForce(c), Version: version, Binary: hashOfBinary()}
	f.EventKey, err = EventKey(c)
	return f, err
}

// hashOfBinary is the SHA-256 of this program's file; empty where it can't be read.
func hashOfBinary() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	f, err := os.Open(path) //nolint:gosec // this program
	if err != nil {
		return ""
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return ""
	}
	return hex.EncodeToString(sum.Sum(nil))
}
