package app

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
	"github.com/gatehouse-auth/gatehouse/internal/ops/privacy"
	"github.com/gatehouse-auth/gatehouse/internal/ops/retention"
)

// personal is what people do with all that is kept about them.
type personal struct {
	erasures *flow.Erasures
	exports  *flow.Exports
	exporter *privacy.Exporter
}

// newPersonal is what people do with all that is kept about them, as far as doors need it.
func newPersonal(b *base, l *flow.EmailLinks) *personal {
	return &personal{
		erasures: &flow.Erasures{EmailLinks: l, Grace: b.config.ErasureGrace}, exports: &flow.Exports{EmailLinks: l},
		exporter: &privacy.Exporter{DB: b.db, Events: b.events, Now: b.now},
	}
}

// newPrivacy erases accounts, and lets people have copies.
func newPrivacy(b *base, who api.Caller, a *administration, p *personal) (capability, error) {
	sealing := event.NewSealer(b.db, "", b.now) // whoever has the key signs what it seals, within a second
	ledger, err := newLedger(b.config, b.db, b.events, b.now)
	if err != nil {
		return capability{}, err
	}
	eraser := &privacy.Eraser{
		DB: b.db, Flow: p.erasures, Events: b.events, Now: b.now,
		Seal: func(ctx context.Context) error { _, err := sealing.Seal(ctx); return err },
		Beside: func(tx *db.Tx, accountID string) error {
			return errors.Join(alert.Erase(tx, accountID), retention.Forget(tx, accountID), incident.Erase(tx, accountID))
		},
	}
	if ledger != nil {
		eraser.Ledger = ledger.Erased
	}
	mine := api.Privacy{Caller: who, Erasures: p.erasures, Exports: p.exports, Exporter: p.exporter}
	theirs := api.PeoplePrivacy{Administrators: a.admins, People: a.people, Exporter: p.exporter}
	return capability{
		name: "privacy", routes: []web.Routes{mine.Routes(), theirs.Routes()},
		jobs: []job.Job{{Name: "erase-accounts", Every: time.Minute, Lease: 10 * time.Minute, Run: eraser.Run}},
		metrics: []prometheus.Collector{
			counter("gatehouse_erasures_total", "Accounts that this replica has erased.", func() float64 { return float64(eraser.State().Erased) }),
			gauge("gatehouse_erasures_overdue", "Accounts that should have been erased over a day ago, when this replica last looked.",
				func() float64 { return float64(eraser.State().Overdue) }),
		},
	}, nil
}
