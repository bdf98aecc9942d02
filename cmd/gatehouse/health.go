package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
)

type healthCommand struct {
	Live bool `help:"Check only that the server is up (/healthz), not that it is ready for requests (/readyz)."`
	JSON bool `name:"json" help:"Print JSON, one object."`
}

func (healthCommand) Help() string {
	return `It asks the server running on this machine, at ADMIN_LISTEN_ADDR, and reads the same settings. It exits with 0 if the server is healthy,
and with 1 if it is not or does not answer.

Examples, the second for a Dockerfile whose image has no curl:
  gatehouse health --live
  HEALTHCHECK --interval=10s CMD ["gatehouse", "health"]`
}

// errNotHealthy is for a server that says so itself.
var errNotHealthy = errors.New("the server is not ready")

// Run asks, and prints what the server says.
func (h healthCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	c, _, err := t.Settings()
	if err != nil {
		return err
	}
	said, healthy, err := app.AskHealth(ctx, c, h.Live)
	if err != nil {
		return err
	}
	if h.JSON {
		err = t.JSONLine(said)
	} else {
		_, err = fmt.Fprintln(t.Out, said)
	}
	if err == nil && !healthy {
		err = errNotHealthy
	}
	return err
}
