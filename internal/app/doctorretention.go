package app

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
	"github.com/gatehouse-auth/gatehouse/internal/ops/retention"
)

// The longest that the guide's values let things stay, with room for a case of one's own.
const (
	mostTokens   = 30 * 24 * time.Hour
	mostSessions = 90 * 24 * time.Hour
	mostLogs     = 400 * 24 * time.Hour
)

// retentionChecks judge for how long things are kept, and whether what is due goes.
func (e Deployment) retentionChecks() []doctor.Check {
	r := e.Config.Retention
	checks := []doctor.Check{
		setting("RET-1", "length", "Expired links and codes go soon", doctor.Low, r.Tokens > mostTokens, "Set RETENTION_EXPIRED_TOKENS=7d.",
			"they stay for %d days", days(r.Tokens)),
		{ID: "RET-1", Name: "runs", Title: "What is kept long enough is deleted", Severity: doctor.Medium, Ask: e.read(func(tx *db.Tx) (doctor.Answer, error) {
			st, err := retention.Stand(tx, e.Now())
			switch {
			case err != nil:
				return doctor.Answer{}, err
			case st.Trouble(e.Now()) > 0:
				return doctor.Fail("See gatehouse retention status.", "runs failed in a row: %d; the last that ended: %s; brake: %s", st.Failures, stampOrNever(st.Ran),
					orNone(st.Brake)), nil
			case st.Hold != nil:
				return doctor.Pass("paused until %s: %s", stampOrNever(st.Hold.Until), st.Hold.Reason), nil
			}
			return doctor.Pass("the last run ended: %s", stampOrNever(st.Ran)), nil
		})},
		setting("RET-2", "length", "Events go when they are of no use any more", doctor.Medium, r.Logs > mostLogs, "Set RETENTION_LOGIN_LOGS=90d.",
			"they stay for %d days", days(r.Logs)),
		setting("RET-3", "length", "Accounts that nobody uses go", doctor.Low, r.Inactive == 0, "Set RETENTION_INACTIVE_ACCOUNTS=2y.",
			"they go after %d days", days(r.Inactive)),
		setting("RET-4", "length", "Sessions that have ended go", doctor.Low, r.Sessions > mostSessions, "Set RETENTION_SESSION_DATA=30d.",
			"they stay for %d days", days(r.Sessions)),
	}
	if r.Inactive > 0 {
		checks = append(checks, setting("RET-3", "mail", "Owners are told before their account goes", doctor.Low, !canMail(e.Config),
			"Set SMTP_URL: without a mail server no inactive account goes.", "SMTP_URL is set: %t", canMail(e.Config)))
	}
	return checks
}

func canMail(c *config.Config) bool { return c.SMTPURL != "" }

func stampOrNever(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
