package flow

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
)

// Attack 2, on a machine that has no time left: a try that was counted is recorded although its request's time is over by then, and whoever
// asked has left.
func TestAttack2_WhatIsCountedIsRecordedThoughTimeIsOver(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		g := &Guard{Core: Core{DB: d}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		cancel()
		var n int
		record := func(tx *db.Tx) error { return tx.QueryRow(`SELECT COUNT(*) FROM account`).Scan(&n) }
		if err := d.Write(ctx, record); err == nil {
			t.Fatal("a request whose time is over writes")
		}
		if err := g.record(ctx, record); err != nil {
			t.Error(err)
		}
	})
}
