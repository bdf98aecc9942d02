package app

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/ops/doctor"
)

// Accepted are the risks of DOCTOR_BASELINE_FILE, with the file's text; none without the setting. It is read anew each time: who
// accepts a risk need not start the servers again.
func (e Deployment) Accepted(checks []doctor.Check) (doctor.Baseline, []byte, error) {
	if e.Config.Doctor.Baseline == "" {
		return nil, nil, nil
	}
	text, err := os.ReadFile(e.Config.Doctor.Baseline)
	if err != nil {
		return nil, nil, err
	}
	list, err := doctor.ReadBaseline(text, checks, e.Now())
	if err != nil {
		return nil, nil, err // what is half understood accepts nothing: a check says so
	}
	return list, text, nil
}

// Examine asks all checks, and marks what is accepted.
func (e Deployment) Examine(ctx context.Context, service string) doctor.Report {
	checks := e.Checks()
	r := doctor.Run(ctx, checks, e.Now())
	r.Version, r.Service = e.Version, service
	if accepted, _, err := e.Accepted(checks); err == nil { // else a check of its own says why
		r.Accept(accepted)
	}
	return r
}

// acceptedChecks are about what somebody has accepted, or has to.
func (e Deployment) acceptedChecks() []doctor.Check {
	return []doctor.Check{
		{ID: "COMP-1", Name: "accepted-risks", Title: "The accepted risks can be read, and none is over", Severity: doctor.Medium,
			Ask: func(context.Context) doctor.Answer { return e.acceptedRisks(e.Now()) }},
		{ID: "COMP-1", Name: "approvals", Title: "Two administrators can approve what waits for a second one", Severity: doctor.High,
			Ask: func(ctx context.Context) doctor.Answer {
				if !e.Config.SecondApproves() {
					return doctor.Excuse("APPROVALS=one: nothing waits for a second person")
				}
				return e.read(e.approvers)(ctx)
			}},
	}
}

func (e Deployment) acceptedRisks(now time.Time) doctor.Answer {
	if e.Config.Doctor.Baseline == "" {
		return doctor.Excuse("DOCTOR_BASELINE_FILE is not set: no risk is accepted")
	}
	list, _, err := e.Accepted(e.Checks())
	if err != nil {
		return doctor.Fail("Mend the file of DOCTOR_BASELINE_FILE, and see that this user may read it: until then nothing is accepted.", "%s",
			strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if over := list.Over(now); len(over) > 0 {
		return doctor.Fail("Mend what they are about, or accept them anew: with an owner, a reason and another day.", "%d of %d accepted risks are over: %s",
			len(over), len(list), strings.Join(over[:min(5, len(over))], ", "))
	}
	return doctor.Pass("%d accepted risks, none is over", len(list))
}

// approvers counts those who can order and approve. With one, everything grave waits four hours for nobody.
func (e Deployment) approvers(tx *db.Tx) (doctor.Answer, error) {
	const enough = 2
	list, err := account.Administrators(tx, enough)
	switch {
	case err != nil:
		return doctor.Answer{}, err
	case len(list) < enough:
		return doctor.Fail("gatehouse user create --admin ADDRESS for a second person; or APPROVALS=one, if you are alone.",
			"APPROVALS=two, and %d accounts have the role admin and are enabled: nobody can approve what the other one orders, but on the command line", len(list)), nil
	}
	return doctor.Pass("APPROVALS=two, and two administrators or more are enabled"), nil
}
