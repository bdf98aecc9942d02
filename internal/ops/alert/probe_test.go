package alert_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
)

// LOG-5: trouble with sealing and with mails is raised once, and resolved when it
// is over.
func TestLOG5_SealingAndMailsAreProbed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newTestLog(d)
		trouble := int64(0)
		w := s.watcher()
		w.Sealing, w.Mail = func() int64 { return trouble }, true
		step := func() map[string]int { // how many alerts of each rule are open
			t.Helper()
			if err := w.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			open := map[string]int{}
			for _, a := range s.alerts(t) {
				if a.ResolvedAt.IsZero() {
					open[a.Rule]++
				}
			}
			return open
		}
		mail := func(statement string, args ...any) {
			t.Helper()
			if err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(statement, args...); return err }); err != nil {
				t.Fatal(err)
			}
		}
		if open := step(); len(open) > 0 {
			t.Fatalf("raised %v for nothing", open)
		}
		trouble = 1
		step()
		if open := step(); open[alert.SealingTroubled] != 1 || len(open) != 1 {
			t.Errorf("sealing fails: %v", open)
		}
		trouble = 0
		if open := step(); len(open) > 0 {
			t.Errorf("sealing goes on: %v", open)
		}
		put := `INSERT INTO outbox (id, kind, account_id, sent_to, sealed, created_at, due_at, tries, error) VALUES ($1, 'x', 'a', '', $2, $3, $3, 0, '')`
		mail(put, "m1", []byte("x"), db.Micros(s.now().Add(-10*time.Minute)))
		if open := step(); len(open) > 0 {
			t.Errorf("a mail of ten minutes ago: %v", open)
		}
		s.pass(6 * time.Minute)
		if open := step(); open[alert.MailTroubled] != 1 || len(open) != 1 {
			t.Errorf("a mail of a quarter of an hour ago: %v", open)
		}
		mail(`UPDATE outbox SET due_at = NULL, sent_at = $1`, db.Micros(s.now()))
		if open := step(); len(open) > 0 {
			t.Errorf("it was sent: %v", open)
		}
		mail(`UPDATE outbox SET sent_at = NULL, dead_at = $1`, db.Micros(s.now()))
		if open := step(); open[alert.MailTroubled] != 1 {
			t.Errorf("a mail was given up: %v", open)
		}
		s.pass(61 * time.Minute)
		if open := step(); len(open) > 0 {
			t.Errorf("an hour later: %v", open)
		}
	})
}
