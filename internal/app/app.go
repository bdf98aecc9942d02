// Package app puts the parts together: from the settings to a running server,
// and back down in order. It is the only place that knows them all.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
)

// Options is what a server needs beside its settings.
type Options struct {
	Log     *slog.Logger
	Version string
	// Built is when this version was made, as far as that is known.
	Built time.Time
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// LookWithin is the longest that a background job waits before it looks whether it is
	// due; 15 s if 0. It is for tests whose clock leaps.
	LookWithin time.Duration
}

// Server is a running server: what listens, and the capabilities behind it.
type Server struct {
	config   *config.Config
	log      *slog.Logger
	now      func() time.Time
	public   listener
	admin    listener
	redirect *listener // plain HTTP beside TLS, if there is any
	early    *early
	front    front

	capabilities []capability  // those that opened
	broken       chan error    // what ended a listener
	leaving      chan struct{} // closed when requests are better sent elsewhere
	left         sync.Once     // closes it
	draining     chan struct{} // closed when it takes no more work
	background   context.CancelFunc
	running      sync.WaitGroup // background work
}

// listener is one of the ports.
type listener struct {
	net.Listener
	http *http.Server
}

// Start opens the database, brings its schema up to date if it may, opens the
// keys, and serves. When it returns, both ports answer.
func Start(ctx context.Context, c *config.Config, o Options) (*Server, error) {
	return start(ctx, c, o, (*Server).list)
}

// start is Start with the list of capabilities that are wanted.
func start(ctx context.Context, c *config.Config, o Options, list func(*Server, context.Context, *base) []opener) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{log: o.Log, now: o.Now, leaving: make(chan struct{}), draining: make(chan struct{})}
	if err := s.listen(ctx, c); err != nil {
		return nil, err
	}
	if err := s.start(ctx, o, list); err != nil {
		return nil, errors.Join(err, s.abandon())
	}
	return s, nil
}

// listen takes the ports first: what PUBLIC_URL defaults to may depend on them.
func (s *Server) listen(ctx context.Context, c *config.Config) error {
	var (
		lc  net.ListenConfig
		err error
	)
	if s.public.Listener, err = lc.Listen(ctx, "tcp", c.ListenAddr); err != nil {
		return fmt.Errorf("LISTEN_ADDR: %w. Stop what listens there, or set LISTEN_ADDR to another address", err)
	}
	if s.admin.Listener, err = lc.Listen(ctx, "tcp", c.AdminListenAddr); err != nil {
		return errors.Join(fmt.Errorf("ADMIN_LISTEN_ADDR: %w. Stop what listens there, or set ADMIN_LISTEN_ADDR to another address", err), s.public.Close())
	}
	s.config = c.Listening(s.public.Addr().String())
	if err := s.listenRedirect(ctx); err != nil {
		return errors.Join(err, s.public.Close(), s.admin.Close())
	}
	return nil
}

// abandon undoes a start that failed.
func (s *Server) abandon() error {
	var err error
	if s.admin.http != nil {
		err = notClosed(s.admin.http.Close())
	}
	for _, l := range s.listeners() {
		err = errors.Join(err, notClosed(l.Close()))
	}
	return errors.Join(err, s.closeCapabilities())
}

func (s *Server) start(ctx context.Context, o Options, list func(*Server, context.Context, *base) []opener) (err error) {
	if err = s.judgeFiles(); err != nil {
		return err
	}
	// A certificate that can't be used is refused before anything is changed.
	if s.front.certificate, err = openCertificateFile(s.config, s.log, s.now); err != nil {
		return err
	}
	s.serveEarly()
	b, database, err := s.openBase(ctx, o)
	if err != nil {
		return err
	}
	openers := append([]opener{func() (capability, error) { return database, nil }}, list(s, ctx, b)...)
	if err := s.open(b, openers); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	s.public.http = s.publicServer(b)
	if s.redirect != nil {
		s.redirect.http = web.NewServer("", s.redirectHandler(), s.log)
	}
	s.serve(b)
	return nil
}

// URL is where the server can be reached from this machine.
func (s *Server) URL() string {
	if s.front.certificate != nil {
		return "https://" + s.public.Addr().String()
	}
	return "http://" + s.public.Addr().String()
}

// AdminURL is where healthz, readyz and metrics are.
func (s *Server) AdminURL() string {
	if s.config.AdminTLS() {
		return "https://" + s.admin.Addr().String()
	}
	return "http://" + s.admin.Addr().String()
}

// PublicURL is the setting, with the port that was taken.
func (s *Server) PublicURL() string { return s.config.PublicURL }

// SetupLink returns the one-time link that makes the first administrator, or
// nothing if there has been one already.
func (s *Server) SetupLink(ctx context.Context) (string, error) {
	t, err := s.front.setup.Link(ctx)
	if err != nil || t == "" {
		return "", err
	}
	return s.config.PublicURL + "/setup#" + t, nil
}
