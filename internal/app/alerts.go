package app

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// sealingLate is how late the sealing of the event log may be.
const sealingLate = time.Minute

// AlertChannels returns where alerts are told besides the log, and closes them.
func AlertChannels(c *config.Config) (map[string]func(context.Context, alert.Message) error, func(), error) {
	send, done := map[string]func(context.Context, alert.Message) error{}, func() {}
	if c.Alerts.WebhookURL != "" {
		hook, err := outbound.OpenWebhook(c.Alerts.WebhookURL.Reveal(), c.Alerts.WebhookSecret.Reveal())
		if err != nil {
			return nil, nil, fmt.Errorf("ALERT_WEBHOOK_URL: %w", err)
		}
		done = hook.Close
		send["webhook"] = func(ctx context.Context, m alert.Message) error {
			body, err := m.Body()
			if err != nil {
				return err
			}
			return hook.Post(ctx, m.ID, body)
		}
	}
	return send, done, nil
}

// AlertMails returns what queues the mails about an alert to ALERT_MAIL_TO, in a
// transaction, or nil. Who has an account under the address gets it in its language.
func AlertMails(c *config.Config, outbox *notice.Outbox) func(tx *db.Tx, m alert.Message) error {
	if len(c.Alerts.MailTo) == 0 {
		return nil
	}
	return func(tx *db.Tx, m alert.Message) error {
		for _, to := range c.Alerts.MailTo {
			mail := notice.Mail{
				Kind: notice.AlertRaised, To: to, At: m.Alert.RaisedAt,
				Alert: notice.Alert{Rule: m.Alert.Rule, N: m.Alert.N, Bound: m.Alert.Bound, What: m.Alert.What, Look: m.Alert.Look},
			}
			switch a, err := account.Find(tx, to); {
			case err == nil:
				mail.Name, mail.Locale = a.Name, a.Locale
			case fault.KindOf(err) != fault.NotFound:
				return err
			}
			if err := outbox.Queue(tx, mail); err != nil {
				return err
			}
		}
		return nil
	}
}

// newAlerts watches the event log and tells what it finds.
func newAlerts(b *base, outbox *notice.Outbox) (*alert.Admin, capability, error) {
	send, done, err := AlertChannels(b.config)
	if err != nil {
		return nil, capability{}, err
	}
	a := b.config.Alerts
	w := &alert.Watcher{
		DB: b.db, Events: b.events, Sealing: b.sealingTrouble, Backups: backupTrouble(b.config), Retention: retentionTrouble,
		Posture: doctor.Turned, Approvals: incident.CountWaiting, Mail: b.config.SMTPURL != "", Log: b.log, Now: b.now,
		Thresholds: alert.Thresholds{
			FailedLogins: a.FailedLogins, UnusualLogins: a.UnusualLogins, Sprayed: a.Sprayed, Stuffed: a.Stuffed, Registrations: a.Registrations,
			Reuses: a.Reuses, Tampered: a.Tampered, Introspections: a.Introspections, DatabaseErrors: a.DatabaseErrors, RateLimits: a.RateLimits,
		},
	}
	w.MailOut = AlertMails(b.config, outbox)
	for name := range send {
		w.Channels = append(w.Channels, name)
	}
	d := &alert.Deliverer{DB: b.db, Send: send, Now: b.now}
	return &alert.Admin{DB: b.db, Events: b.events, Now: b.now}, capability{
		name: "alerts",
		jobs: []job.Job{
			{Name: "watch-events", Every: 5 * time.Second, Lease: time.Minute, Run: w.Step},
			{Name: "tell-alerts", Every: 5 * time.Second, Lease: 5 * time.Minute, Run: d.Step},
		},
		metrics: []prometheus.Collector{alertMetrics{b.db}},
		close:   func() error { done(); return nil },
	}, nil
}

// sealingTrouble is 1 if the log was not sealed for long, or sealing failed.
func (b *base) sealingTrouble() int64 {
	if l := b.jobs.Last()["seal-events"]; l.Failed || b.now().Sub(l.Due) > sealingLate {
		return 1
	}
	return 0
}

// alertMetrics tells which rules have an open alert; nothing while the database
// can't be asked.
type alertMetrics struct{ db *db.DB }

var alertOpen = prometheus.NewDesc("gatehouse_alert_open", "1 if there is an open alert of this rule, on all replicas the same.", []string{"rule"}, nil)

// Describe implements prometheus.Collector.
func (alertMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- alertOpen }

// Collect implements prometheus.Collector.
func (m alertMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	open := map[string]float64{}
	err := m.db.Read(ctx, func(tx *db.Tx) error {
		list, err := alert.List(tx, "", true, len(alert.Rules))
		for _, a := range list {
			open[a.Rule] = 1
		}
		return err
	})
	if err != nil {
		return
	}
	for _, r := range alert.Rules {
		ch <- prometheus.MustNewConstMetric(alertOpen, prometheus.GaugeValue, open[r.Name], r.Name)
	}
}

// countDatabaseErrors records requests that failed on the database, once a
// network and minute.
func countDatabaseErrors(tally *event.Tally) func(error, event.Origin) {
	return func(err error, from event.Origin) {
		switch db.BlameOf(err) {
		case db.BlameDatabase:
			tally.Add(event.SuspiciousActivity, "database_error", from)
		case db.BlameStatement:
			tally.Add(event.SuspiciousActivity, "database_error_injection", from)
		}
	}
}
