package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

// OperatorMove opens the database that the installation is in, for a move to the other URL, or, without one, for giving a move
// up. Unlike other commands it takes one whose move was broken off; to give that up, also one whose schema a newer version has
// found too old, and may not migrate for the fence. Close what it returns.
func OperatorMove(ctx context.Context, c *config.Config, log, events *slog.Logger, to string) (*backup.Move, func() error, error) {
	d, err := OpenDatabase(ctx, c, log)
	if err != nil {
		return nil, nil, err
	}
	m := &backup.Move{
		Source: d, Target: db.Config{URL: to, MaxConns: 4, Log: log}, Events: event.NewLog(events, secret.Random{}, time.Now, nil), Now: time.Now,
		Wait: backup.Sleep, Progress: func(backup.Progress) {},
	}
	err = d.Serves(ctx)
	if f := fault.As(err); f != nil && (f.Code == "fenced" || f.Code == "moved" || to == "" && f.Code == "schema_behind") {
		err = nil
	}
	if err != nil {
		_ = d.Close()
		return nil, nil, err
	}
	return m, d.Close, nil
}
