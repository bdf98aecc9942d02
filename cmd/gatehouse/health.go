package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/app"
)

type healthCommand struct {
	Live bool `help:"Ask whether the server is there at all (/healthz), and not whether it should be sent requests (/readyz)."`
	JSON bool `name:"json" help:"Print JSON, one object."`
}

func (healthCommand) Help() string {
	return `It asks the server that runs on this machine, at ADMIN_LISTEN_ADDR, and takes the same settings. Exit 0: healthy; 1: not, or nobody answers.

Examples, the second for a container's file, where there is no curl:
  gatehouse health --live
  HEALTHCHECK --interval=10s CMD ["gatehouse", "health"]`
}

// errNotHealthy is for a server that says so itself.
var errNotHealthy = errors.New("the server is not ready")

// Run asks, and prints what the server says.
func (h healthCommand) Run(ctx context.Context, t *terminal) error {
	c, _, err := t.settings()
	if err != nil {
		return err
	}
	said, healthy, err := app.AskHealth(ctx, c, h.Live)
	if err != nil {
		return err
	}
	if h.JSON {
		err = t.jsonLine(said)
	} else {
		_, err = fmt.Fprintln(t.out, said)
	}
	if err == nil && !healthy {
		err = errNotHealthy
	}
	return err
}
