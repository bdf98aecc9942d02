package doctor_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// COMP-1: only what was well and is not any more has turned; what nobody could look at says nothing, and what nobody looks at any
// more is forgotten.
func TestCOMP1_WhatTurns(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		at := now
		look := func(rule string, severity doctor.Severity, state doctor.State) (turned int, open int64) {
			t.Helper()
			at = at.Add(time.Hour)
			r := doctor.Report{At: at, Findings: []doctor.Finding{{Rule: rule, State: state, Severity: severity}}}
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				list, err := r.Record(tx)
				turned = len(list)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Read(t.Context(), func(tx *db.Tx) (err error) { open, err = doctor.Turned(tx, at); return err }); err != nil {
				t.Fatal(err)
			}
			return turned, open
		}
		for i, step := range []struct {
			rule     string
			severity doctor.Severity
			state    doctor.State
			turned   int
			open     int64
		}{
			{"DB-1/tls", doctor.High, doctor.Failed, 0, 0}, // from the start
			{"DB-1/tls", doctor.High, doctor.Passed, 0, 0},
			{"DB-1/tls", doctor.High, doctor.Unknown, 0, 0},
			{"DB-1/tls", doctor.High, doctor.Failed, 1, 1},
			{"DB-1/tls", doctor.High, doctor.Failed, 0, 1},
			{"DB-1/tls", doctor.High, doctor.Unknown, 0, 1},
			{"DB-1/tls", doctor.High, doctor.Accepted, 0, 0},
			{"DB-1/tls", doctor.High, doctor.Failed, 1, 1}, // the risk is over
			{"DB-1/tls", doctor.High, doctor.Passed, 0, 0},
			{"DB-1/tls", doctor.High, doctor.Failed, 1, 1},
			{"DB-1/tls", doctor.High, doctor.Excused, 0, 0}, // it does not concern the deployment any more
			{"NET-2/same-site", doctor.Low, doctor.Passed, 0, 0},
			{"NET-2/same-site", doctor.Low, doctor.Failed, 1, 0}, // in the log alone
			{"NET-1/outside-hsts", doctor.Medium, doctor.Passed, 0, 0},
			{"NET-1/outside-hsts", doctor.Medium, doctor.Failed, 1, 1},
			{"NET-1/outside-hsts", doctor.Medium, doctor.Excused, 0, 1}, // by one that does not look from outside
			{"DB-1/tls", doctor.High, doctor.Passed, 0, 1},
			{"DB-1/tls", doctor.High, doctor.Passed, 0, 0}, // nobody has looked from outside for three hours
		} {
			if turned, open := look(step.rule, step.severity, step.state); turned != step.turned || open != step.open {
				t.Errorf("step %d, %s %s: turned %d, open %d, want %d and %d", i, step.rule, step.state, turned, open, step.turned, step.open)
			}
		}
		var counts []doctor.Count
		if err := d.Read(t.Context(), func(tx *db.Tx) (err error) { counts, err = doctor.Counts(tx, at); return err }); err != nil {
			t.Fatal(err)
		}
		if len(counts) != 1 || counts[0] != (doctor.Count{State: "passed", Severity: "high", N: 1}) {
			t.Errorf("counted %v", counts)
		}
	})
}
