package console_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// The figures of the overview cost the same with ten thousand events and with ten million: they come from counters,
// and never from the log. While nobody can read the log at all, they are there.
func TestTheFiguresNeverReadTheLog(t *testing.T) {
	dbURL := dbtest.Postgres(t)
	h := harness.Open(t, dbURL, settings...)
	b := administrator(h, "admin@example.org", "admin")
	bearer := h.Login("admin@example.org").Str("access_token")
	lock, err := pgx.Connect(t.Context(), dbURL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Exec(t.Context(), `BEGIN; LOCK TABLE event, event_personal IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	h.Expect(200, "", harness.Get("/v1/admin/overview", bearer))
	if a := open(b, "/admin/events"); a.Status != 503 {
		t.Errorf("the log while it is locked: %d, so this test would not see who reads it", a.Status)
	}
	if err := lock.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
