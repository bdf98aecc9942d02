package doctor

import (
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// COMP-1: what has turned raises an alert, until it is well again. That the server looks by itself is seen on the rig.
func TestCOMP1_WhatTurnsRaisesAnAlert(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		super := dbtest.Open(h.T, dbtest.Superusers(h.T, h.DBURL))
		do := func(statement string) {
			h.Helper()
			if err := super.Write(h.Context(), func(tx *db.Tx) error { _, err := tx.Exec(statement); return err }); err != nil {
				h.Fatal(err)
			}
		}
		open := func(want int) {
			h.Helper()
			h.Eventually("the alert", func() (string, bool) {
				n := h.Count(`SELECT COUNT(*) FROM alert WHERE rule = 'posture' AND resolved_at IS NULL`)
				return fmt.Sprintf("%d are open, of %d", n, want), n == want
			})
		}
		do(fmt.Sprintf(`INSERT INTO doctor_check (rule, state, severity, looked_at, turned_at) VALUES ('JWT-3/stored', 'failed', 'critical', %d, 1)`,
			db.Micros(time.Now())))
		open(1)
		if n := h.Metric(`gatehouse_doctor_findings{severity="critical",state="failed"}`); n != 1 {
			h.Errorf("the metric says %v", n)
		}
		do(`UPDATE doctor_check SET state = 'passed', turned_at = NULL WHERE rule = 'JWT-3/stored'`)
		open(0)
	})
}
