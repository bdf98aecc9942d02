package app

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
)

// figuresKeep is how long the figures of hours are kept.
const figuresKeep = 60 * 24 * time.Hour

// administration is what administrators see and do, for the API and for the console.
type administration struct {
	admins     api.Administrators
	people     *operate.People
	audit      *operate.Audit
	operations *operate.Operations
	overview   *operate.Overview
	blocks     *operate.Blocks
	alerts     *alert.Admin
}

// newAdministration is what administrators see and do.
func newAdministration(
	b *base, t *tokens, who api.Caller, l *flow.EmailLinks, blocks *operate.Blocks, alerts *alert.Admin,
) (*administration, capability, error) {
	o := &operate.Operator{
		Core: b.core(), Accounts: newAccountMaker(b, l), Revoked: t.revoked, FactorResetWait: b.config.FactorResetWait,
		ErasureGrace: b.config.ErasureGrace, Production: b.config.Production(), SignsID: t.signsID,
		SecondApproves: b.config.SecondApproves(), Reserved: reservedAudiences(b.config), Console: b.config.AdminURL,
		Notices:    func(context.Context) (*flow.Notices, error) { return l.Guard.Notices, nil },
		EmailLinks: func(context.Context) (*flow.EmailLinks, error) { return l, nil },
		Lockout:    func(context.Context) (*lockout.Store, error) { return l.Guard.Lockout, nil },
	}
	begin, err := describedClients(b, t, o)
	if err != nil {
		return nil, capability{}, err
	}
	a := &administration{
		admins: api.Administrators{Caller: who, Administrate: &operate.Administrate{Core: b.core(), Networks: b.config.AdminNetworks},
			Bearer: b.config.AdminURL != ""},
		people: &operate.People{Core: b.core(), Operator: o, Lockout: l.Guard.Lockout, Closed: b.config.Registration == config.RegistrationClosed,
			Providers: l.Providers},
		audit:    &operate.Audit{Core: b.core()},
		overview: &operate.Overview{Core: b.core()}, blocks: blocks, alerts: alerts,
	}
	a.operations = &operate.Operations{Core: b.core(), Operator: o, Overview: a.overview, Keys: t.keys, Settings: settingsInForce(b.config)}
	networks := api.Blocks{Administrators: a.admins, Blocks: blocks, People: a.people}
	log := api.Events{Administrators: a.admins, Audit: a.audit}
	raised := api.Alerts{Administrators: a.admins, Alerts: alerts}
	people := api.People{Administrators: a.admins, People: a.people, Audit: a.audit}
	operations := api.Operations{Administrators: a.admins, Operations: a.operations}
	posture := api.Doctor{Administrators: a.admins, Examine: b.examine}
	resources := api.Resources{Administrators: a.admins, Operations: a.operations}
	return a, capability{
		name: "administration", begin: begin,
		routes: []web.Routes{networks.Routes(), log.Routes(), raised.Routes(), people.Routes(), operations.Routes(), resources.Routes(), posture.Routes()},
		jobs: []job.Job{
			{Name: "count-sessions", Every: 10 * time.Minute, Lease: 10 * time.Minute, Run: a.overview.Levels},
			inBatches(b.db, "index-people", time.Minute, func(tx *db.Tx, limit int) (int64, error) { return account.WriteWords(tx, limit) }),
			inBatches(b.db, "forget-figures", time.Hour, func(tx *db.Tx, limit int) (int64, error) {
				return event.ForgetFigures(tx, b.now().Add(-figuresKeep), limit)
			}),
		},
	}, nil
}

// settingsInForce are the settings as the report has them, with secrets covered.
func settingsInForce(c *config.Config) (list []operate.Setting) {
	for _, r := range c.InForce() {
		list = append(list, operate.Setting{Name: r.Name, Value: r.Value, Source: r.Source, Default: r.Default, Secret: r.Secret})
	}
	return list
}
