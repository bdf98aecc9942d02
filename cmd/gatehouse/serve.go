package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
)

type serveCommand struct{}

func (serveCommand) Help() string {
	return `Without any settings it runs for development: SQLite in ./data, on 127.0.0.1:8000.
Settings come from the environment and from .env; see docs/configuration.md.

On SIGTERM or ^C it finishes the requests it has accepted and stops. A second ^C stops it at once.

Example:
  (umask 077; gatehouse secret > jwt_secret)
  ENVIRONMENT=production PUBLIC_URL=https://login.example.org \
    JWT_SECRET_KEY_FILE=jwt_secret gatehouse serve`
}

// Run serves until it is asked to stop.
func (serveCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	collectLess()
	defer t.BufferLog()()
	c, log, err := t.Settings()
	if err != nil {
		return err
	}
	// What a library prints through package log becomes a line of ours as well.
	slog.SetDefault(log)
	for _, w := range c.Warnings {
		log.Warn(w)
	}
	s, err := app.Start(ctx, c, app.Options{Log: log, Version: version(), Built: app.BuiltAt(built)})
	if err != nil {
		return err
	}
	link, err := s.SetupLink(ctx)
	if err != nil {
		log.Warn("The setup link could not be created. Restart the server to get one.", "error", err.Error())
	}
	welcome(t, c, s, link)
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
func welcome(t *terminal.Terminal, c *config.Config, s *app.Server, link string) {
	fmt.Fprintf(t.Out, "\n  Gatehouse %s is serving %s (%s)\n\n", version(), s.PublicURL(), c.Environment)
	fmt.Fprintf(t.Out, "  API     %s/openapi.json\n", s.URL())
	fmt.Fprintf(t.Out, "  Health  %s/readyz\n", s.AdminURL())
	for _, row := range c.Report() {
		if row.Name == "DATABASE_URL" {
			fmt.Fprintf(t.Out, "  Data    %s\n", row.Value)
		}
	}
	if link != "" {
		fmt.Fprintf(t.Out, "\n  There is no administrator yet. Create the first one with this link. It works once, within 24 hours:\n\n  %s\n", link)
	}
	fmt.Fprintln(t.Out)
}
