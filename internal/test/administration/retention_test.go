package administration_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// RET-4: administrators see what is kept and what is due, which changes nothing; they pause and resume, with a reason that stands in the log
// beside their name. Support only looks.
func TestRET4_AdministratorsPauseAndResume(t *testing.T) {
	harness.EachReadable(t, func(h *harness.Server) {
		admin, support := roled(h, "admin@example.org", "admin"), roled(h, "help@example.org", "support")
		h.Register("ada@example.org")
		h.Login("ada@example.org")
		old := time.Now().Add(-400 * 24 * time.Hour)
		d := dbtest.Open(h.T, dbtest.Superusers(h.T, h.DBURL))
		pause := func(bearer string, days int, why string) harness.Request {
			return harness.Post("/v1/admin/retention/pause", map[string]any{
				"until": time.Now().Add(time.Duration(days) * 24 * time.Hour).UTC().Format(time.RFC3339), "reason": why,
			}, bearer)
		}
		resume := func(bearer, why string) harness.Request {
			return harness.Post("/v1/admin/retention/resume", map[string]any{"reason": why}, bearer)
		}
		h.Expect(403, "not_administrator", pause(support, 1, "x"))
		h.Expect(403, "not_administrator", resume(support, "x"))
		held := h.Expect(200, "", pause(admin, 30, "Case 4711"))
		if p, ok := held.Fields["paused"].(map[string]any); !ok || p["reason"] != "Case 4711" || p["by"] == "" {
			t.Errorf("paused: %s", held.Text)
		}
		// Something is due, and stays: nothing is deleted while it is paused, and to look deletes nothing.
		id := "01" + strings.Repeat("0", 6) + "-0000-7000-8000-000000000001"
		err := d.Write(h.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO session (id, account_id, roles, amr, user_agent, address, auth_at, max_at, idle_at, gen, cur, salt, minted_at,
					rotated_at, ended_at)
				SELECT $1, account_id, roles, amr, user_agent, address, $2, $2, $2, 1, $3, $3, $2, $2, $2 FROM session LIMIT 1`, id, db.Micros(old), []byte(id))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			due := h.Expect(200, "", harness.Get("/v1/admin/retention/due", support))
			if !strings.Contains(due.Text, `{"kind":"sessions","line":"RET-4","before":"`) || !strings.Contains(due.Text, `"count":1,"at_least":false,"oldest":"2`) {
				t.Errorf("due: %s", due.Text)
			}
		}
		h.Expect(400, "invalid_time", pause(admin, 400, "Too long"))
		h.Expect(400, "invalid_time", pause(admin, -1, "Over already"))
		h.Expect(400, "required", pause(admin, 1, ""))
		h.Expect(400, "required", resume(admin, ""))
		h.Expect(400, "required", harness.Post("/v1/admin/retention/pause", map[string]any{"reason": "x"}, admin))
		if again := h.Expect(200, "", resume(admin, "Closed")); again.Fields["paused"] != nil {
			t.Errorf("resumed: %s", again.Text)
		}
		kept := h.Expect(200, "", harness.Get("/v1/admin/retention", support))
		for _, want := range []string{
			`{"kind":"sessions","line":"RET-4","days":30}`, `{"kind":"events","line":"RET-2","days":90}`, `{"kind":"inactive_accounts","line":"RET-3"`,
		} {
			if !strings.Contains(kept.Text, want) {
				t.Errorf("%s is not in %s", want, kept.Text)
			}
		}
		log := h.Expect(200, "", harness.Get("/v1/admin/events?event=admin_action,retention_paused,retention_resumed&limit=50", admin))
		for _, want := range []string{`pause_retention`, `resume_retention`, `Case 4711`, `"Closed"`} {
			if !strings.Contains(log.Text, want) {
				t.Errorf("the log lacks %s: %s", want, log.Text)
			}
		}
	})
}

// RET-4: of many who pause at once each is told of one pause, and one stands.
func TestRET4_ManyPauseAtOnce(t *testing.T) {
	h := harness.Open(t, dbtest.Postgres(t), "API_RATE_LIMIT_REQUESTS=1000")
	admin := roled(h, "admin@example.org", "admin")
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			r := harness.Post("/v1/admin/retention/pause", map[string]any{
				"until": time.Now().Add(time.Duration(i+1) * time.Hour).UTC().Format(time.RFC3339), "reason": "At once",
			}, admin)
			if a := h.Do(r); a.Status != 200 || a.Fields["paused"] == nil {
				t.Errorf("%d %s", a.Status, a.Text)
			}
		})
	}
	wg.Wait()
	if a := h.Expect(200, "", harness.Get("/v1/admin/retention", admin)); a.Fields["paused"] == nil {
		t.Errorf("none stands: %s", a.Text)
	}
}
