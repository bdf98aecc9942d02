package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
)

var now = time.Now

type serveCommand struct{}

func (serveCommand) Help() string {
	return `Without any setting it serves for development: SQLite in ./data, on 127.0.0.1:8000.
Settings come from the environment and from .env; see docs/configuration.md.

It stops at SIGTERM or ^C, and finishes what it has accepted first. A second ^C stops it at once.

Example:
  (umask 077; gatehouse secret > jwt_secret)
  ENVIRONMENT=production PUBLIC_URL=https://login.example.org \
    JWT_SECRET_KEY_FILE=jwt_secret gatehouse serve`
}

// Run serves until it is told to stop.
func (serveCommand) Run(ctx context.Context, t *terminal) error {
	collectLess()
	lines := newLogWriter(t.err)
	defer func() { _ = lines.Flush() }() // a log that can't be written has nowhere to say so
	t.lines = lines
	c, log, err := t.settings()
	if err != nil {
		return err
	}
	// What a library prints through package log becomes a line of ours as well.
	slog.SetDefault(log)
	for _, w := range c.Warnings {
		log.Warn(w)
	}
	s, err := app.Start(ctx, c, app.Options{Log: log, Version: version()})
	if err != nil {
		return err
	}
	link, err := s.SetupLink(ctx)
	if err != nil {
		log.Warn("The set-up link could not be made; restart to get one.", "error", err.Error())
	}
	t.welcome(c, s, link)
	log.Info("serving", "version", version(), "url", s.URL(), "admin_url", s.AdminURL(), "environment", string(c.Environment))
	err = s.Run(ctx)
	log.Info("stopped", slog.Bool("clean", err == nil))
	return err
}

// collectLess lets the heap grow to five times what lives in it before garbage
// is collected; GOGC, where it is set, says otherwise. Go's own twice is meant
// for large heaps: ours is some 6 MB, so under load it would be collected at
// every hundredth request, dozens of times a second, for 25 MB of memory.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// welcome prints where to look next.
func (t *terminal) welcome(c *config.Config, s *app.Server, link string) {
	fmt.Fprintf(t.out, "\n  Gatehouse %s is serving %s (%s)\n\n", version(), s.PublicURL(), c.Environment)
	fmt.Fprintf(t.out, "  API     %s/openapi.json\n", s.URL())
	fmt.Fprintf(t.out, "  Health  %s/readyz\n", s.AdminURL())
	for _, row := range c.Report() {
		if row.Name == "DATABASE_URL" {
			fmt.Fprintf(t.out, "  Data    %s\n", row.Value)
		}
	}
	if link != "" {
		fmt.Fprintf(t.out, "\n  There is no administrator yet. This link makes the first one, once, within 24 hours:\n\n  %s\n", link)
	}
	fmt.Fprintln(t.out)
}
