package incidents_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// What waits for a second person is a metric and an alert, until it is approved, withdrawn or expired; the doctor's word on who could
// approve it is in the tests of the doctor.
func TestIR2_WhatWaitsForASecondPersonIsAnAlert(t *testing.T) {
	dbtest.EachProduction(t, func(t *testing.T, dbURL string) {
		clock := &harness.Clock{}
		h := harness.OpenAt(t, dbURL, clock.Now, "APPROVALS=two")
		d := twoPeople(h)
		d.Now = clock.Now
		waits := func(want int) {
			t.Helper()
			h.Eventually("the alert", func() (string, bool) {
				n := h.Count(`SELECT COUNT(*) FROM alert WHERE rule = 'approvals' AND resolved_at IS NULL`)
				metric := h.Metric(`gatehouse_approvals_waiting`)
				return fmt.Sprintf("%d are open, the metric is %v, want %d", n, metric, want), n == want && metric == float64(want)
			})
		}
		n := opened(h, d)
		waits(0)
		o := respond.Order{Does: respond.EndSessions, All: true}
		first := asked(h, d, n, o)
		waits(1)
		if _, err := d.Approve(h.Context(), n, first.ID, "seen together", second); err != nil {
			t.Fatal(err)
		}
		waits(0)
		asked(h, d, n, o)
		waits(1)
		clock.Shift(5 * time.Hour)
		waits(0)
	})
}
