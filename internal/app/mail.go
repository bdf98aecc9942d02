package app

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/config"
	"github.com/gatehouse-auth/gatehouse/internal/db"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/notice"
	"github.com/gatehouse-auth/gatehouse/internal/secret"
)

// notices is what every flow that tells somebody something is given.
func notices(outbox *notice.Outbox, now func() time.Time) *flow.Notices {
	return &flow.Notices{Outbox: outbox, Now: now}
}

// operatorNotices is notices for an operator's command.
func operatorNotices(ctx context.Context, c *config.Config, d *db.DB) (*flow.Notices, error) {
	ring, err := operatorRing(ctx, c, d)
	if err != nil {
		return nil, err
	}
	return notices(notice.NewOutbox(ring.Key(keyring.Outbox), secret.Random{}, time.Now), time.Now), nil
}

// operatorRing opens the keys as well, which few of an operator's commands need.
func operatorRing(ctx context.Context, c *config.Config, d *db.DB) (*keyring.Ring, error) {
	return openRing(ctx, c, d, 0, time.Now())
}
