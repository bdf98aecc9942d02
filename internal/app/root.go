package app

import (
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/page"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

// newRoot serves what stands at the root of the server. admin is the URL of the admin
// listener.
func newRoot(b *base, p *page.Pages, who api.Caller, m *mailing, admin string) capability {
	c := b.config
	r := page.Root{Forms: forms(p, who), Service: c.ServiceName, Home: c.HomeURL, Contacts: c.SecurityContact, PublicURL: c.PublicURL, Now: b.now}
	if c.HomeURL == "" {
		r.Development = &page.Development{Version: b.version, Admin: admin, Mails: m.shown(), Closed: c.Registration != config.RegistrationOpen}
	}
	return capability{name: "root", routes: []web.Routes{r.Routes()}}
}
