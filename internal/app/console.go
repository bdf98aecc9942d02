package app

import (
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/console"
	"github.com/gatehouse-auth/gatehouse/internal/door/page"
	"github.com/gatehouse-auth/gatehouse/internal/door/ui"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/openid"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
	"github.com/gatehouse-auth/gatehouse/internal/ops/retention"
)

// newConsole serves the administrators' pages.
func newConsole(
	b *base, kit *ui.Kit, who api.Caller, a *administration, own *personal, incidents *respond.Desk, keeps *retention.Keeper,
	guard *openid.Guard, out *flow.SignOut,
) (capability, error) {
	c, err := console.New(&console.Console{
		Kit: kit, Cookies: who.Cookies, Authenticate: who.Authenticate, Administrate: a.admins.Administrate, People: a.people, Audit: a.audit,
		Operations: a.operations, Blocks: a.blocks, Alerts: a.alerts, Incidents: incidents, Profile: &flow.Profile{Core: b.core()},
		Installation: string(b.config.Environment),
		Rules:        rulesOf(), Now: b.now, Stopping: b.stopping, Doctor: b.examine, Exporter: own.exporter, Retention: keeps,
	})
	if err != nil {
		return capability{}, err
	}
	if b.config.AdminURL == "" {
		return capability{name: "console", routes: []web.Routes{c.Routes()}}, nil
	}
	c.Cookies = who.Cookies.At(b.config.AdminURL)
	c.Host = &console.Host{URL: b.config.AdminURL, Public: b.config.PublicURL, Guard: guard, SignOut: out}
	return capability{
		name: "console", routes: []web.Routes{c.ElsewhereRoutes()}, own: []web.Routes{c.Routes(), c.HostRoutes(), page.Assets(kit)},
	}, nil
}

func rulesOf() (list []console.Rule) {
	for _, r := range alert.Rules {
		list = append(list, console.Rule{Name: r.Name, About: r.About})
	}
	return list
}
