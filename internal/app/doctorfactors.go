package app

import (
	"context"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// overdueReset is how long a reset may be due before somebody should ask why the job does not do it.
const overdueReset = time.Hour

// factorChecks are the checks of second factors and passkeys.
func (e Deployment) factorChecks() []doctor.Check {
	return []doctor.Check{
		setting("COMP-1", "factor-rule", "Administrators must have a second factor", doctor.High, !asksAdministrators(e.Config),
			"Set SECOND_FACTOR=admin,support.", "SECOND_FACTOR asks it of %d roles", len(e.Config.SecondFactor)),
		{ID: "COMP-1", Name: "factors", Title: "Every administrator has a second factor", Severity: doctor.High, Ask: e.read(e.bareAdministrators)},
		{ID: "COMP-1", Name: "passkeys", Title: "Passkeys open the host that they were made for", Severity: doctor.Medium, Ask: e.read(e.restingPasskeys)},
		{ID: "COMP-1", Name: "factor-counts", Title: "Accounts count the second factors that they have", Severity: doctor.High, Ask: e.read(e.countedFactors)},
		{ID: "COMP-1", Name: "factor-rows", Title: "The keys recognise every second factor", Severity: doctor.High, Ask: e.sealedFactors},
		{ID: "COMP-1", Name: "factor-resets", Title: "Resets of second factors are done when they are due", Severity: doctor.Medium, Ask: e.read(e.waitingResets)},
	}
}

func asksAdministrators(c *config.Config) bool {
	roles, all := c.SecondFactorRoles(false)
	for _, r := range roles {
		all = all || r == account.Admin
	}
	return all
}

func (e Deployment) bareAdministrators(tx *db.Tx) (doctor.Answer, error) {
	const most = 200
	list, err := account.MayHaveFactors(tx, account.Admin, true, "", most)
	if err != nil {
		return doctor.Answer{}, err
	}
	if len(list) == 0 {
		return doctor.Pass("none signs in with a password alone"), nil
	}
	var names []string
	for _, a := range list {
		names = append(names, a.Email)
	}
	return doctor.Fail("gatehouse user factor list --role admin --without; have each sign in and add one, or gatehouse user factor invite ADDRESS.",
		"%d administrators have no second factor: %s", len(list), strings.Join(names[:min(5, len(names))], ", ")), nil
}

func (e Deployment) restingPasskeys(tx *db.Tx) (doctor.Answer, error) {
	p, err := factor.PostureOf(tx, e.Config.PasskeyRPID, e.Now())
	switch {
	case err != nil:
		return doctor.Answer{}, err
	case p.Resting > 0:
		return doctor.Fail("Set PASSKEY_RP_ID to the host before, and have its /.well-known/webauthn reach this server; see docs/guides/passkeys.md.",
			"%d passkeys are of another host than %s and open nothing; %d accounts have nothing else", p.Resting, e.Config.PasskeyRPID, p.Stranded), nil
	}
	return doctor.Pass("none is of another host; %d are suspended", p.Suspects), nil
}

func (e Deployment) countedFactors(tx *db.Tx) (doctor.Answer, error) {
	said, err := account.CountFactors(tx)
	if err != nil {
		return doctor.Answer{}, err
	}
	rows, err := factor.Counted(tx)
	if err != nil {
		return doctor.Answer{}, err
	}
	const mend = "Somebody has written to the tables by hand, and an account that counts too few opens to its password alone. See who can, and restore a backup."
	if said != rows {
		return doctor.Fail(mend, "accounts count %d second factors, and there are %d", said, rows), nil
	}
	wrong, err := miscounted(tx) // what one counts too many, another may count too few
	if err != nil {
		return doctor.Answer{}, err
	}
	if wrong > 0 {
		return doctor.Fail(mend, "%d accounts count other second factors than they have", wrong), nil
	}
	return doctor.Pass("%d second factors", rows), nil
}

// miscounted is how many accounts count other second factors than they have.
func miscounted(tx *db.Tx) (wrong int, err error) {
	const batch = 1000
	for after := ""; ; {
		said, last, err := account.CountedAfter(tx, after, batch)
		if err != nil || len(said) == 0 {
			return wrong, err
		}
		has, err := factor.CountedBetween(tx, after, last)
		if err != nil {
			return wrong, err
		}
		for id, n := range said {
			if has[id] != n {
				wrong++
			}
		}
		after = last
	}
}

func (e Deployment) waitingResets(tx *db.Tx) (doctor.Answer, error) {
	p, err := factor.PostureOf(tx, e.Config.PasskeyRPID, e.Now().Add(-overdueReset))
	switch {
	case err != nil:
		return doctor.Answer{}, err
	case p.Overdue > 0:
		return doctor.Fail("A server must run for them; why the job reset-factors failed stands in its log.",
			"%d of %d resets should be done by now", p.Overdue, p.Resets), nil
	}
	return doctor.Pass("%d wait", p.Resets), nil
}

// sealedFactors looks for passkeys that no key of the ring recognises, and secrets that none opens. What rests opens nothing, and is
// not looked at.
func (e Deployment) sealedFactors(ctx context.Context) doctor.Answer {
	const mend = "If JWT_SECRET_KEY was lost: gatehouse user factor reseal. If not, somebody has written to the tables: see who can, and " +
		"docs/runbooks/README.md."
	if e.DB == nil {
		return doctor.Skip(mendDatabase, e.Why)
	}
	var ring *keyring.Ring
	master, err := knownSecret(e.Config)
	if err == nil {
		err = e.DB.Read(ctx, func(tx *db.Tx) (err error) {
			ring, err = keyring.Look(tx, keyring.Config{Secret: master, Previous: e.Config.JWTSecretKeyPrevious.Reveal()})
			return err
		})
	}
	switch {
	case err != nil:
		return doctor.Skip("Run the doctor with the server's JWT_SECRET_KEY.", err)
	case ring == nil || len(ring.Keys(keyring.Factor)) == 0:
		return doctor.Excuse("no server has made the keys yet")
	}
	keys, apps := 0, 0
	n, err := (&operate.Reseal{DB: e.DB, With: factorSealing(ring), Now: e.Now}).Run(ctx, true, func(u operate.Unrecognised) error {
		switch {
		case u.Kind == factor.App:
			apps++
		case u.Host == e.Config.PasskeyRPID:
			keys++
		}
		return nil
	})
	switch {
	case err != nil:
		return doctor.Skip(mendDatabase, err)
	case keys+apps > 0:
		return doctor.Fail(mend, "the keys recognise neither %d passkeys nor the secrets of %d apps; gatehouse user factor reseal lists them", keys, apps)
	}
	return doctor.Pass("%d passkeys are as they were written", n.Genuine)
}
