package app

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

// edge is what the public listener knows of its own outside; plain is for the
// listener beside it that has no TLS.
func (s *Server) edge(plain bool) *web.Edge {
	return web.NewEdge(web.EdgeConfig{
		PublicURL: s.config.PublicURL, Origins: s.config.CORSOrigins, ClientOrigin: s.front.clientOrigin,
		Hosts: s.config.HostNames(), Loopback: !s.config.Production(), Plain: plain, Related: s.config.PasskeyRPID,
		ConsoleURL: s.config.AdminURL,
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

// publicServer serves the routes of all capabilities.
func (s *Server) publicServer(b *base) *http.Server {
	metrics := web.NewMetrics(b.registry)
	server := web.NewServer("", s.publicHandler(b, metrics), s.log)
	web.CountUnread(server, metrics, s.log, s.now)
	return server
}

func (s *Server) publicHandler(b *base, metrics *web.Metrics) http.Handler {
	f := s.front
	stack := &web.Stack{
		Blocked: f.blocks.blocked, Failed: countDatabaseErrors(b.tally), Rejected: countRejected(b.tally),
		Log: s.log, Metrics: metrics, Now: s.now, Traces: f.traces,
		Edge: s.edge(false), Proxies: f.proxies, Limit: f.callers.limit, Refused: s.front.pages.Refused,
	}
	if s.config.AdminURL != "" {
		stack.Console = http.NewServeMux()
	}
	mux := http.NewServeMux()
	for _, c := range s.capabilities {
		for _, r := range c.routes {
			r.Register(stack, mux)
		}
		for _, r := range c.own {
			r.Register(stack, stack.Console)
		}
	}
	return s.goodbye(stack.Wrap(mux))
}

// redirectHandler answers what comes to that listener: nothing but the way to TLS.
func (s *Server) redirectHandler() http.Handler {
	stack := &web.Stack{
		Blocked: s.front.blocks.blocked, Log: s.log, Metrics: web.NewMetrics(prometheus.NewRegistry()), Now: s.now,
		Edge: s.edge(true), Proxies: s.front.proxies, Refused: s.front.pages.Refused,
	}
	return challenges(s.front.authority, stack.Wrap(http.NewServeMux()))
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
			if l.http.TLSConfig == nil {
				l.http.TLSConfig = web.TLS(s.front.certificate.Get)
			}
			return l.http.ServeTLS(l.Listener, "", "")
		}
		return l.http.Serve(web.Private(l.Listener, s.config.PrivateNetworks, s.log))
	}
	inner := l.Listener
	if l == &s.public && s.front.certificate == nil {
		inner = web.Private(inner, s.config.PrivateNetworks, s.log)
	}
	limited := web.LimitPerAddress(inner, s.config.ConnectionsPerAddress, s.front.proxies)
	if l == &s.public && s.front.certificate != nil {
		l.http.TLSConfig = web.TLS(s.front.certificate.Get, challengeProtocols(s.config)...)
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
