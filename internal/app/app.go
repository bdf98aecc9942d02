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

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/base/trace"
	"github.com/gatehouse-auth/gatehouse/internal/door/api"
	"github.com/gatehouse-auth/gatehouse/internal/door/page"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/block"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/ops/alert"
)

// Options is what a server needs beside its settings.
type Options struct {
	Log     *slog.Logger
	Version string
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Server is a running server.
type Server struct {
	config      *config.Config
	log         *slog.Logger
	db          *db.DB
	hasher      *password.Hasher
	breaches    password.Breaches
	setup       *flow.Setup
	public      listener
	admin       listener
	redirect    *listener   // plain HTTP beside TLS, if there is any
	hazards     string      // what readyz warns of in the database; set by the start
	certificate certificate // nil without TLS
	now         func() time.Time
	broken      chan error    // what ended a listener
	draining    chan struct{} // closed when it takes no more work

	background context.CancelFunc
	jobs       *job.Runner
	sealing    *sealing
	mail       *mailing
	tally      *event.Tally
	uses       *session.Uses
	revoked    *token.Revocations
	blocks     *block.List
	ring       *keyring.Ring
	counting   *counting
	running    sync.WaitGroup // background work

	closeBreaches func() error
	closeAlerts   func()
	traces        *trace.Tracer // nil: none are taken
	closeTraces   func()
}

// listener is one of the ports.
type listener struct {
	net.Listener
	http *http.Server
}

// Start opens the database, brings its schema up to date if it may, opens the
// keys, and serves. When it returns, both ports answer.
func Start(ctx context.Context, c *config.Config, o Options) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{log: o.Log, now: o.Now, draining: make(chan struct{})}
	if err := s.listen(ctx, c); err != nil {
		return nil, err
	}
	if err := s.start(ctx, o); err != nil {
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
	for _, l := range s.listeners() {
		err = errors.Join(err, l.Close())
	}
	if s.hasher != nil {
		s.hasher.Close()
	}
	if s.closeAlerts != nil {
		s.closeAlerts()
	}
	if s.closeTraces != nil {
		s.closeTraces()
	}
	if s.closeBreaches != nil {
		err = errors.Join(err, s.closeBreaches())
	}
	if s.counting != nil {
		s.counting.close()
	}
	if s.db != nil {
		err = errors.Join(err, s.db.Close())
	}
	return err
}

func (s *Server) start(ctx context.Context, o Options) error {
	err := s.judgeFiles()
	if err == nil {
		err = s.openCertificateFile(o)
	}
	if err != nil {
		return err
	}
	if s.db, err = OpenDatabase(ctx, s.config, s.log); err != nil {
		return err
	}
	if err := s.prepareSchema(ctx); err != nil {
		return err
	}
	if s.traces, s.closeTraces, err = s.openTraces(ctx, o.Version); err != nil {
		return err
	}
	ring, err := s.openKeys(ctx, o)
	if err != nil {
		return err
	}
	authority, err := s.openACME(ctx, ring, o)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	if err := s.checkPepper(ctx); err != nil {
		return err
	}
	s.hasher = newHasher(s.config)
	if s.breaches, s.closeBreaches, err = OpenBreaches(s.config, s.log, o.Now); err != nil {
		return err
	}
	if s.mail, err = s.newMailing(ring, o.Now); err != nil {
		return err
	}
	if s.counting, err = s.newCounting(ctx, o.Now); err != nil {
		return err
	}
	p, err := s.parts(o, ring, registry)
	if err != nil {
		return err
	}
	s.setup, s.tally = p.pages.Setup, p.tally
	if s.sealing, err = s.newSealing(p.events, o.Now); err != nil {
		return err
	}
	jobs := append(s.sealing.jobs(), forgetSessions(s.db, o.Now), forgetRevocations(s.db, o.Now), forgetGuesses(s.db, o.Now), forgetDevices(s.db, o.Now), forgetTickets(s.db, o.Now), forgetReplicas(s.db, o.Now), rotateKeys(p.keys))
	watching, err := s.alerts(p.events, registry, o.Now, s.log)
	if err != nil {
		return err
	}
	jobs = append(jobs, watching...)
	jobs = append(jobs, s.mail.jobs(o.Now)...)
	jobs = append(jobs, renewCertificate(authority)...)
	jobs = append(jobs, endBlocks(s.db, o.Now)...)
	s.jobs = job.NewRunner(s.db, secret.Random{}.ID(o.Now()), o.Now, s.log, jobs...)
	s.sealing.observe(registry)
	s.counting.observe(registry)
	s.observe(registry, o)
	s.observeCertificate(registry)
	if err := s.adoptKeys(ctx, p.keys); err != nil {
		return err
	}
	// What was revoked or blocked before this start is known before the first request.
	if err := errors.Join(s.revoked.Poll(ctx), s.blocks.Load(ctx)); err != nil {
		return err
	}
	metrics := web.NewMetrics(registry)
	blocked := s.blocked(p.tally, registry)
	s.public.http = web.NewServer("", s.publicHandler(p, metrics, blocked, o), s.log)
	s.admin.http = web.NewServer("", s.adminHandler(registry, o), s.log)
	if s.redirect != nil {
		s.redirect.http = web.NewServer("", challenges(authority, s.redirectHandler(blocked, o)), s.log)
	}
	s.serve()
	return nil
}

// parts is what the doors are made of.
type parts struct {
	limits  *flow.Limits
	revoked *token.Revocations
	tally   *event.Tally
	keys    *flow.Keys
	events  *event.Log
	api     *api.API
	pages   *page.Pages
}

func (s *Server) parts(o Options, ring *keyring.Ring, registry prometheus.Registerer) (parts, error) {
	c := s.config
	random := secret.Random{}
	issuer, err := token.NewIssuer(token.Config{Issuer: c.JWTIssuer, Audience: c.JWTAudience, Life: c.AccessTokenLife},
		signingKeys(ring), random)
	if err != nil {
		return parts{}, err
	}
	sessions := session.NewStore(
		session.Config{Idle: c.RefreshTokenLife, Max: c.SessionMaxLife, Grace: c.RefreshReuseGrace, Retry: c.RefreshRetry, PerAccount: c.SessionsPerAccount},
		refreshKeys(ring), ring.Epoch, random)
	events := event.NewLog(s.log, random, o.Now, eventCounter(registry))
	tally := event.NewTally(s.db, events)
	s.uses = session.NewUses(s.db)
	count := flowCounter(registry)
	limits := s.newLimits(ring, tally, registry)
	s.revoked = token.NewRevocations(s.db, c.AccessTokenLife, c.RevocationStale, o.Now)
	s.blocks = block.NewList(s.db, o.Now)
	s.followRing(ring, issuer, sessions)
	s.revoked.OnPoll(func(tx *db.Tx) error { return errors.Join(ring.Poll(tx), s.blocks.Poll(tx)) })
	cookies := &web.Cookies{
		Secure: c.CookieSecure, HTTPOnly: c.CookieHTTPOnly, Lax: c.CookieSameSite == config.SameSiteLax,
		Origin: c.PublicURL, Applications: c.CORSOrigins, Key: func() []byte { return ring.Key(keyring.CSRF) },
	}
	verified := c.EmailVerification == config.VerificationRequired
	tell := notices(s.mail.outbox, o.Now)
	accounts := &flow.NewAccounts{Hasher: s.hasher, Policy: passwordPolicy(c, s.breaches), Random: random, Now: o.Now}
	signIn := &flow.SignIn{
		DB: s.db, Hasher: s.hasher, Sessions: sessions, Tokens: issuer, Revoked: s.revoked, Events: events, Guard: s.guard(ring, events, tally, tell, o.Now), Limits: limits, Breaches: s.breachesAtSignIn(), PasswordLife: c.PasswordLife,
		RequireVerified: verified, Count: count, Now: o.Now,
	}
	emailLinks := s.emailLinks(ring, signIn.Guard, limits, accounts, count)
	signOut := &flow.SignOut{DB: s.db, Sessions: sessions, Tokens: issuer, Revoked: s.revoked, Events: events, Tally: tally, Count: count, Now: o.Now}
	authenticate := &flow.Authenticate{Tokens: issuer, Revocations: s.revoked, Uses: s.uses, Tally: tally, Count: count, Now: o.Now}
	doors := &api.API{
		Register:     &flow.Register{DB: s.db, Accounts: accounts, Events: events, Notices: tell, EmailLinks: emailLinks, Limits: limits, Open: c.Registration == config.RegistrationOpen, RequireVerified: verified, Count: count},
		SignIn:       signIn,
		Refresh:      &flow.Refresh{DB: s.db, Sessions: sessions, Tokens: issuer, Revoked: s.revoked, Events: events, Tally: tally, Notices: tell, Count: count, Log: s.log, Now: o.Now},
		SignOut:      signOut,
		Verify:       &flow.Verify{EmailLinks: emailLinks},
		Passwords:    &flow.Passwords{EmailLinks: emailLinks},
		Addresses:    &flow.Addresses{EmailLinks: emailLinks},
		Clients:      &flow.AuthenticateClient{Clients: client.NewRegistry(s.db, c.RevocationStale, o.Now), Revocations: s.revoked, Tally: tally, Count: count},
		Follow:       &flow.Follow{Revocations: s.revoked, Stopping: s.draining, Count: count},
		Strength:     &flow.Strength{Policy: s.strengthPolicy(), Count: count},
		Authenticate: authenticate,
		Introspect:   &flow.Introspect{DB: s.db, Authenticate: authenticate, Sessions: sessions, Count: count, Now: o.Now},
		RevokeToken:  &flow.RevokeToken{DB: s.db, Authenticate: authenticate, Sessions: sessions, Events: events, Count: count, Now: o.Now},
		ForwardAuth:  &flow.ForwardAuth{DB: s.db, Authenticate: authenticate, Count: count, Now: o.Now},
		Administrate: &flow.Administrate{Tally: tally, Count: count, Now: o.Now},
		Blocks:       &flow.Blocks{DB: s.db, Events: events, Proxy: s.proxies().Overlaps, Count: count, Now: o.Now},
		Audit:        &flow.Audit{DB: s.db, Events: events, Count: count},
		Alerts:       &alert.Admin{DB: s.db, Events: events, Now: o.Now},
		Discovery:    api.Discovery{Issuer: c.JWTIssuer, PublicURL: c.PublicURL},
		Profile:      &flow.Profile{DB: s.db, Events: events, Count: count, Now: o.Now},
		Tokens:       issuer,
		Cookies:      cookies,
		Now:          o.Now,
	}
	return parts{
		limits: limits, revoked: s.revoked,
		tally:  tally,
		events: events,
		keys:   &flow.Keys{DB: s.db, Ring: ring, Revoked: s.revoked, Events: events, Period: c.JWTKeyRotation, Now: o.Now},
		api:    doors,
		pages: &page.Pages{
			Setup:  &flow.Setup{DB: s.db, Accounts: accounts, Events: events, Count: count, Random: random, Now: o.Now},
			SignIn: signIn, Refresh: doors.Refresh, SignOut: signOut, Authenticate: doors.Authenticate, Profile: doors.Profile, Cookies: cookies,
			Unlock: s.unlock(signIn.Guard, count), Register: doors.Register, Verify: doors.Verify, Passwords: doors.Passwords, Addresses: doors.Addresses,
			NotMe: &flow.NotMe{EmailLinks: emailLinks},
			Mails: s.mail.page(),
		},
	}, nil
}

func (s *Server) publicHandler(p parts, m *web.Metrics, blocked func(event.Origin) bool, o Options) http.Handler {
	stack := &web.Stack{Blocked: blocked, Failed: countDatabaseErrors(p.tally), Log: s.log, Metrics: m, Now: o.Now, Traces: s.traces, Edge: s.edge(false), Proxies: s.proxies(), Limit: p.limitRequests(o), Refused: page.Refused}
	mux := http.NewServeMux()
	p.api.Routes(stack, mux)
	p.pages.Routes(stack, mux)
	return stack.Wrap(mux)
}

// URL is where the server can be reached from this machine.
func (s *Server) URL() string {
	if s.certificate != nil {
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
	t, err := s.setup.Link(ctx)
	if err != nil || t == "" {
		return "", err
	}
	return s.config.PublicURL + "/setup#" + t, nil
}
