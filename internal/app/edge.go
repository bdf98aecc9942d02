package app

import "github.com/gatehouse-auth/gatehouse/internal/web"

// edge is what the public listener knows of its own outside.
func (s *Server) edge() *web.Edge {
	return web.NewEdge(web.EdgeConfig{PublicURL: s.config.PublicURL, Origins: s.config.CORSOrigins})
}
