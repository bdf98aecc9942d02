package app

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/erasure"
	"github.com/gatehouse-auth/gatehouse/internal/feature/hold"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
	"github.com/gatehouse-auth/gatehouse/internal/ops/privacy"
)

// privacyChecks judge what people may ask of what is kept about them.
func (e Deployment) privacyChecks() []doctor.Check {
	return []doctor.Check{
		{ID: "GDPR-3", Name: "erasures", Title: "Accounts are deleted in time", Severity: doctor.High, Ask: e.read(e.lateErasures)},
		setting("GDPR-3", "grace", "A deletion can be taken back for a while", doctor.Low, e.Config.ErasureGrace == 0,
			"Set ERASURE_GRACE_DAYS=14.", "an account stays for %d days", int(e.Config.ErasureGrace/(24*time.Hour))),
		{ID: "GDPR-4", Name: "mail", Title: "Whoever takes a copy of somebody's data, its owner learns of it", Severity: doctor.Medium,
			Ask: func(context.Context) doctor.Answer { return tellsOfCopies(e.Config) }},
	}
}

// tellsOfCopies reports whether the mail that tells of a copy leaves.
func tellsOfCopies(c *config.Config) doctor.Answer {
	if c.SMTPURL == "" {
		return doctor.Fail("Set SMTP_URL and MAIL_FROM.", "no mail server is set, so the mail about a copy waits in the outbox")
	}
	return doctor.Pass("each copy is told by mail")
}

// lateErasures counts accounts that should be gone for a day.
func (e Deployment) lateErasures(tx *db.Tx) (doctor.Answer, error) {
	const most = 500
	if h, held, err := hold.Standing(tx, e.Now()); err != nil || held {
		return doctor.Excuse("`gatehouse retention pause` holds everything until " + h.Until.Format(time.DateOnly)), err
	}
	by := e.Now().Add(-privacy.Late)
	due, err := account.Erasures(tx, account.Erasure{}, by, most)
	if err != nil {
		return doctor.Answer{}, err
	}
	running, err := erasure.List(tx, "", most)
	if err != nil {
		return doctor.Answer{}, err
	}
	late := len(due)
	for _, r := range running {
		if r.State == erasure.Done && r.MovedAt.Before(by) { // its account is gone already
			late++
		}
	}
	if late == 0 {
		return doctor.Pass("none is late"), nil
	}
	return doctor.Fail("A server must run for it; why the job erase-accounts fails stands in its log. An "+
		"account whose change of address can be taken back waits for that.",
		"%s should have been deleted over a day ago", plural(late, "account")), nil
}
