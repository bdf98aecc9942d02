package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

// newLedger returns what writes down beside the backups what a restore must not undo; nil where no backups are made.
func newLedger(c *config.Config, d *db.DB, events *event.Log, now func() time.Time) (*backup.Ledger, error) {
	if len(c.Backups.Dirs) == 0 || c.Backups.Recipients == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	stores, err := BackupStores(c)
	if err != nil {
		return nil, err
	}
	recipients, err := backupRecipients(c)
	if err != nil {
		return nil, err
	}
	key, err := EventKey(c)
	if err != nil {
		return nil, err
	}
	sealer := event.NewSealer(d, key, now)
	return &backup.Ledger{
		DB: d, Events: events, Stores: stores, Recipients: recipients, EventKey: key, Now: now,
		Seal: func(ctx context.Context) error { _, err := sealer.Seal(ctx); return err },
	}, nil
}

// ledgerJob follows the log. While a store is away it comes back less and less often, up to once in five minutes.
type ledgerJob struct {
	ledger *backup.Ledger
	now    func() time.Time
	wait   time.Duration
	next   time.Time
}

// ledgerEvery is how soon after somebody lost something that stands in the ledger.
const ledgerEvery = 5 * time.Second

func (j *ledgerJob) job() job.Job {
	return job.Job{Name: "ledger", Every: ledgerEvery, Lease: 5 * time.Minute, Run: j.step}
}

func (j *ledgerJob) step(ctx context.Context) error {
	if j.now().Before(j.next) && j.next.Before(j.now().Add(time.Hour)) { // the clock may leap
		return nil
	}
	err := j.ledger.Step(ctx)
	if err == nil || ctx.Err() != nil {
		j.wait, j.next = 0, time.Time{}
		return err
	}
	j.wait = min(max(2*j.wait, 2*ledgerEvery), 5*time.Minute)
	j.next = j.now().Add(j.wait)
	return err
}

var ledgerBehind = prometheus.NewDesc("gatehouse_ledger_behind_seconds",
	"For how long what a restore must not undo has not reached the end of the event log; 0 if it does, or there are no backups.", nil, nil)

// ledgerLag is for how long the ledger has lagged behind.
func (w *backups) ledgerLag(ctx context.Context) (lag time.Duration, err error) {
	if w.keeper == nil || w.keeper.Maker.Ledger == nil {
		return 0, nil
	}
	err = w.db.Read(ctx, func(tx *db.Tx) (err error) { lag, err = backup.Behind(tx, w.now()); return err })
	return lag, err
}
