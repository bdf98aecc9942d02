package app

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// edge is what the public listener knows of its own outside; plain is for the
// listener beside it that has no TLS.
func (s *Server) edge(plain bool) *web.Edge {
	return web.NewEdge(web.EdgeConfig{
		PublicURL: s.config.PublicURL, Origins: s.config.CORSOrigins,
		Hosts: s.config.HostNames(), Loopback: !s.config.Production(), Plain: plain,
	})
}

// listenRedirect takes the port of the listener beside TLS, if there is one.
func (s *Server) listenRedirect(ctx context.Context) error {
	if s.config.TLSRedirectAddr == "" {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.config.TLSRedirectAddr)
	if err != nil {
		return fmt.Errorf("TLS_REDIRECT_ADDR: %w. Stop what listens there, or set TLS_REDIRECT_ADDR to another address", err)
	}
	s.redirect = &listener{Listener: l}
	return nil
}

// redirectHandler answers what comes to that listener: nothing but the way to TLS.
func (s *Server) redirectHandler(blocked func(event.Origin) bool, o Options) http.Handler {
	stack := &web.Stack{
		Blocked: blocked,
		Log:     s.log, Metrics: web.NewMetrics(prometheus.NewRegistry()), Now: o.Now, Edge: s.edge(true), Proxies: s.proxies(),
	}
	return stack.Wrap(http.NewServeMux())
}

// listeners are all that serve.
func (s *Server) listeners() []*listener {
	all := []*listener{&s.public, &s.admin}
	if s.redirect != nil {
		all = append(all, s.redirect)
	}
	return all
}

// serveOn serves on one of the listeners until it is closed.
func (s *Server) serveOn(l *listener) error {
	if l == &s.admin {
		if s.config.AdminTLS() {
			l.http.TLSConfig = web.TLS(s.certificate.Get)
			return l.http.ServeTLS(l.Listener, "", "")
		}
		return l.http.Serve(web.Private(l.Listener, s.config.PrivateNetworks, s.log))
	}
	inner := l.Listener
	if l == &s.public && s.certificate == nil {
		inner = web.Private(inner, s.config.PrivateNetworks, s.log)
	}
	limited := web.LimitPerAddress(inner, s.config.ConnectionsPerAddress, s.proxies())
	if l == &s.public && s.certificate != nil {
		l.http.TLSConfig = web.TLS(s.certificate.Get, s.challengeProtocols()...)
		return l.http.ServeTLS(limited, "", "")
	}
	return l.http.Serve(limited)
}

// RedirectURL is where plain HTTP is answered beside TLS; empty for nowhere.
func (s *Server) RedirectURL() string {
	if s.redirect == nil {
		return ""
	}
	return "http://" + s.redirect.Addr().String()
}
