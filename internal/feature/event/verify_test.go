package event_test

import (
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// What happens by the rules while the log is being read is no finding: events are added and signed, erased, and retired. A log whose end was
// cut off is found out.
func TestASVS_V16_4_2_ALogThatGrowsWhileItIsReadVerifies(t *testing.T) {
	meanwhile := map[string]func(*testing.T, *sealed){
		"signed": func(t *testing.T, s *sealed) { s.many(t, 3); s.seal(t) },
		"erased": func(t *testing.T, s *sealed) { s.erase(t, "jane") },
		"retired": func(t *testing.T, s *sealed) {
			var statement string
			s.write(t, func(tx *db.Tx) error { statement = s.StateRetirement(tx, 1200, "retention"); return nil })
			s.seal(t)
			s.write(t, func(tx *db.Tx) error { _, err := s.Retire(tx, statement, 1200, 1200); return err })
		},
	}
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSealed(t, d)
		old := time.Now().Add(-100 * 24 * time.Hour)
		s.Log = event.NewLog(discard, secret.Random{}, func() time.Time { return old }, nil)
		s.write(t, func(tx *db.Tx) error {
			for range 1200 {
				s.Append(tx, full(event.Login))
			}
			return nil
		})
		s.Log = event.NewLog(discard, secret.Random{}, time.Now, nil)
		jane := full(event.Login)
		jane.Account = "jane"
		s.append(t, jane)
		s.seal(t)
		for _, name := range []string{"signed", "erased", "retired"} {
			r := s.verify(t, event.VerifyOptions{Progress: once(func() { meanwhile[name](t, s) })})
			if len(r.Findings) > 0 {
				t.Errorf("%s while it is read: %+v", name, r.Findings)
			}
			if r := s.verify(t, event.VerifyOptions{}); len(r.Findings) > 0 {
				t.Fatalf("%s before it is read: %+v", name, r.Findings)
			}
		}
		// The database was copied to another cluster, which counts transactions from its own start, and nothing was sealed since.
		s.exec(t, `UPDATE event_head SET from_tx = 1000000000`)
		s.many(t, 2)
		for range 2 {
			if r := s.verify(t, event.VerifyOptions{}); len(r.Findings) > 0 {
				t.Errorf("copied: %+v", r.Findings)
			}
			s.seal(t)
		}
		s.untie(t)
		s.exec(t, `UPDATE event_head SET size = size - 1`)
		if r := s.verify(t, event.VerifyOptions{}); len(r.Findings) == 0 {
			t.Error("a log whose end was cut off verifies")
		}
	})
}

// once calls do the first time that it is called.
func once(do func()) func(read, of int64) {
	var first sync.Once
	return func(_, _ int64) { first.Do(do) }
}

func (s *sealed) write(t testing.TB, fn func(tx *db.Tx) error) {
	t.Helper()
	if err := s.db.Write(ctx, fn); err != nil {
		t.Fatal(err)
	}
}
