package app

import (
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/door/page"
)

// root is what stands at the root of the server.
func (s *Server) root(o Options) page.Root {
	c := s.config
	r := page.Root{Service: c.ServiceName, Home: c.HomeURL, Contacts: c.SecurityContact, PublicURL: c.PublicURL, Now: o.Now}
	if c.HomeURL == "" {
		r.Development = &page.Development{Version: o.Version, Admin: s.AdminURL(), Mails: s.mail.shown(), Closed: c.Registration != config.RegistrationOpen}
	}
	return r
}
