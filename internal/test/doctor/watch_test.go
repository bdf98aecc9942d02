package doctor

import (
	"fmt"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// COMP-1: the server looks by itself, says what it found in its metrics, and raises an alert for what has turned, until that is well
// again.
func TestCOMP1_WhatTurnsRaisesAnAlert(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Eventually("a look", func() (string, bool) {
			n := h.Count(`SELECT COUNT(*) FROM doctor_check WHERE looked_at > 0`)
			return fmt.Sprintf("%d checks are kept", n), n > 30
		})
		if n := h.Metric(`gatehouse_doctor_findings{severity="high",state="passed"}`); n < 5 {
			h.Errorf("%v checks that weigh heavily passed", n)
		}
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
		do(`UPDATE doctor_check SET state = 'failed', turned_at = looked_at WHERE rule = 'JWT-3/stored'`)
		open(1)
		do(`UPDATE doctor_check SET state = 'passed', turned_at = NULL WHERE rule = 'JWT-3/stored'`)
		open(0)
	})
}
