package app

import (
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
)

// newAdministration is what administrators see and do.
func newAdministration(b *base, who api.Caller, blocks *flow.Blocks, alerts *alert.Admin) (capability, error) {
	admins := api.Administrators{Caller: who, Administrate: &flow.Administrate{Core: b.core()}}
	networks := api.Blocks{Administrators: admins, Blocks: blocks}
	log := api.Events{Administrators: admins, Audit: &flow.Audit{Core: b.core()}}
	raised := api.Alerts{Administrators: admins, Alerts: alerts}
	return capability{name: "administration", routes: []web.Routes{networks.Routes(), log.Routes(), raised.Routes()}}, nil
}
