package doctor

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/feature/hold"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
	"github.com/gatehouse-auth/gatehouse/internal/test/harness"
)

// ofSettings are checks that no database turns.
func ofSettings(rule string) bool {
	for _, prefix := range []string{"JWT-2", "JWT-4", "NET", "ENV-1/e", "ENV-1/p", "PW-1", "PW-2/cost", "PW-3", "PW-4", "MAIL-1", "MAIL-2",
		"MAIL-3", "RATE-1", "RATE-2", "RATE-4", "JWT-5", "GDPR-5", "DB-3", "DB-4/s", "LOG-1/event",
		"LOG-1/anchor", "LOG-2", "LOG-3", "LOG-4", "LOG-5", "LOG-6", "JWT-1/s", "JWT-1/al", "JWT-1/i", "COMP-1/admin-n", "RET-1/l", "RET-2",
		"RET-3", "RET-4", "COMP-1/factor-rule", "COMP-1/providers"} {
		if strings.HasPrefix(rule, prefix) {
			return true
		}
	}
	return false
}

// turned are the checks of the deployment that failed or are unknown, with the report.
func turned(h *harness.Server, c *config.Config, ahead time.Duration) ([]string, doctor.Report) {
	h.Helper()
	d, why := app.OpenExamined(h.Context(), c)
	if d != nil {
		defer d.Close()
	}
	r := doctor.Run(h.Context(), checksOf(c, d, why, func() time.Time { return time.Now().Add(ahead) }), time.Now())
	var out []string
	for _, f := range r.Findings {
		if !ofSettings(f.Rule) && (f.State == doctor.Failed || f.State == doctor.Unknown) {
			out = append(out, f.Rule)
		}
	}
	return out, r
}

// A deployment that is broken in one way turns just the check for it, and no other; mended, none.
func TestEachBreakTurnsItsCheckAlone(t *testing.T) {
	harness.Each(t, func(h *harness.Server) {
		h.Register("admin@example.org")
		h.PasskeyFor("admin@example.org")
		h.Guest("other@example.org")
		if _, err := h.Operator().SetRoles(h.Context(), "admin@example.org", []string{"admin"}, harness.OriginOfTests); err != nil {
			h.Fatal(err)
		}
		if _, _, err := h.Operator().CreateClient(h.Context(), "shop", harness.OriginOfTests); err != nil {
			h.Fatal(err)
		}
		admin := h.App.AdminURL()
		c := load(h.T, map[string]string{"DATABASE_URL": h.DBURL, "PUBLIC_URL": h.URL(),
			"ADMIN_LISTEN_ADDR": strings.TrimPrefix(admin, "http://"), "BCRYPT_COST": "4", "MIGRATE": "off",
			"JWT_SECRET_KEY": harness.SecretKey, "BACKUP_DIR": "-", "BACKUP_RECIPIENTS": "-"})
		var usual []string // the tests' PostgreSQL forgets all safety to be quick, and its superuser serves
		h.Eventually("a good deployment", func() (string, bool) {
			usual, _ = turned(h, c, 0)
			others := slices.DeleteFunc(slices.Clone(usual), func(rule string) bool { return strings.HasPrefix(rule, "DB-2") })
			return fmt.Sprint(others), len(others) == 0
		})
		super := dbtest.Open(h.T, dbtest.Superusers(h.T, h.DBURL))
		do := func(statement string) {
			h.Helper()
			if err := super.Write(h.Context(), func(tx *db.Tx) error { _, err := tx.Exec(statement); return err }); err != nil {
				h.Fatalf("%s: %v", statement, err)
			}
		}
		for rule, b := range map[string]struct{ breaks, mends string }{
			"LOG-1/jobs": {`UPDATE job SET error = 'no room' WHERE name = (SELECT MIN(name) FROM job)`,
				`UPDATE job SET error = ''`},
			"GDPR-1/inventory": {`CREATE TABLE newsletter (address TEXT)`, `DROP TABLE newsletter`},
			"MAIL-4/queue": {`UPDATE outbox SET due_at = NULL, dead_at = 1 WHERE id = (SELECT MIN(id) FROM outbox)`,
				`UPDATE outbox SET dead_at = NULL`},
			"JWT-3/stored": {`UPDATE session SET prev = cur, cur = SUBSTR(cur, 1, 16)`, `UPDATE session SET cur = prev, prev = NULL`},
			"COMP-1/administrators": {`UPDATE account SET signed_in_at = 1 WHERE email = 'admin@example.org'`,
				`UPDATE account SET signed_in_at = NULL WHERE email = 'admin@example.org'`},
			"PW-2/stored": {`UPDATE account SET hash = 'h1:$2a$03$' || SUBSTR(hash, 11) WHERE email = 'admin@example.org'`,
				`UPDATE account SET hash = 'h1:$2a$04$' || SUBSTR(hash, 11) WHERE email = 'admin@example.org'`},
			"COMP-1/factors": {`UPDATE account SET roles = '["admin"]' WHERE email = 'other@example.org'`,
				`UPDATE account SET roles = '[]' WHERE email = 'other@example.org'`},
			"COMP-1/passkeys": {`UPDATE passkey SET rp_id = 'old.example.org'`, `UPDATE passkey SET rp_id = 'localhost'`},
			"COMP-1/factor-counts": {`UPDATE account SET factors = CASE email WHEN 'admin@example.org' THEN 2 ELSE -1 END`, // together as many as before
				`UPDATE account SET factors = CASE email WHEN 'admin@example.org' THEN 1 ELSE 0 END`},
			"COMP-1/factor-rows": {`UPDATE passkey SET mac = credential, credential = mac`, `UPDATE passkey SET mac = credential, credential = mac`},
			"COMP-1/pkce":        {`UPDATE client SET settings = '{"pkce_optional":true}'`, `UPDATE client SET settings = '{}'`},
			"COMP-1/factor-resets": {`INSERT INTO factor_reset (account_id, asked_at, due_at, asked_by, reason) VALUES ('x', 1, 1, 'operator', '')`,
				`DELETE FROM factor_reset`},
		} {
			do(b.breaks)
			var report doctor.Report
			h.Eventually(b.breaks, func() (string, bool) { // a busy machine is not ready for a moment, now and then
				got, r := turned(h, c, 0)
				report = r
				want := append(slices.Clone(usual), rule)
				return fmt.Sprintf("turns %v, want %v", got, want), len(got) == len(want) && slices.Contains(got, rule)
			})
			for _, f := range report.Findings {
				if f.Rule == rule && (f.Evidence == "" || f.Mend == "") {
					h.Errorf("%s says %q, %q", rule, f.Evidence, f.Mend)
				}
			}
			do(b.mends)
		}
		// What was held two days ago, as a backup holds its lease, is not late: nothing says when it comes again.
		ago := func() time.Time { return time.Now().Add(-48 * time.Hour) }
		if err := job.NewRunner(super, "another", ago, slog.New(slog.DiscardHandler)).Hold(h.Context(), "held",
			func(context.Context, func(context.Context) error) error { return nil }); err != nil {
			h.Fatal(err)
		}
		h.Eventually("a lease that was given back", func() (string, bool) {
			got, report := turned(h, c, 0)
			return fmt.Sprintf("turns %v, want %v: %+v", got, usual, report.Findings), slices.Equal(got, usual)
		})
		// Time passes, and nothing runs: the key is not replaced, jobs are late, nobody signs in.
		got, _ := turned(h, c, 200*24*time.Hour)
		for _, rule := range []string{"JWT-1/key-age", "LOG-1/jobs", "COMP-1/administrators"} {
			if !slices.Contains(got, rule) {
				h.Errorf("after 200 days %s has not turned: %v", rule, got)
			}
		}
		// An account that should be gone turns its check, unless everything is held.
		do(fmt.Sprintf(`UPDATE account SET erase_at = %d, erase_why = 'self' WHERE email = 'other@example.org'`, db.Micros(time.Now().Add(100*24*time.Hour))))
		if got, _ := turned(h, c, 200*24*time.Hour); !slices.Contains(got, "GDPR-3/erasures") {
			h.Errorf("an account that should have gone 100 days ago turns %v", got)
		}
		if err := super.Write(h.Context(), func(tx *db.Tx) error {
			return hold.Put(tx, hold.Hold{Set: time.Now(), Until: time.Now().Add(300 * 24 * time.Hour), Reason: "a lawsuit", By: "ops"})
		}); err != nil {
			h.Fatal(err)
		}
		if got, _ := turned(h, c, 200*24*time.Hour); slices.Contains(got, "GDPR-3/erasures") {
			h.Errorf("under a hold GDPR-3/erasures fails")
		}
		// The server is gone: that can't be looked at, which is not well.
		if err := h.Stop(); err != nil {
			h.Fatal(err)
		}
		if got, _ := turned(h, c, 0); !slices.Contains(got, "ENV-1/ready") {
			h.Errorf("without a server: %v", got)
		}
	})
}

// A database that does not answer leaves what hangs on it unknown, and the rest judged.
func TestADeadDatabaseIsSaid(t *testing.T) {
	c := load(t, map[string]string{"DATABASE_URL": "postgres://gatehouse:kX9vQ2mZp4Lt@127.0.0.1:1/gatehouse?sslmode=disable"})
	d, why := app.OpenExamined(t.Context(), c)
	if d != nil || why == nil {
		t.Fatalf("opened %v, %v", d, why)
	}
	r := doctor.Run(t.Context(), checksOf(c, d, why, time.Now), time.Now())
	if r.Count(doctor.Unknown) < 5 || r.Count(doctor.Passed) < 20 {
		t.Errorf("%s", r.Summary())
	}
	for _, f := range r.Findings {
		if strings.Contains(f.Evidence+f.Mend, "kX9vQ2mZp4Lt") {
			t.Errorf("%s shows the password", f.Rule)
		}
	}
}
