package app

import "github.com/gatehouse-auth/gatehouse/internal/web"

// proxies are the peers that are believed when they say who is calling.
func (s *Server) proxies() *web.Proxies {
	return web.NewProxies(s.config.TrustedProxies, s.config.CloudflareProxies, s.log)
}
