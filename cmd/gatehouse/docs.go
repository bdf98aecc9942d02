package main

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/door/handbook"
)

type docsCommand struct {
	Addr string `default:"127.0.0.1:8008" placeholder:"ADDRESS" help:"Where to serve it: an address of this machine alone (${default})."`
	Out  string `placeholder:"FOLDER" help:"Write the pages into this folder instead, for a web server of yours."`
}

func (docsCommand) Help() string {
	return `The documentation of this very version, with a search. It needs no network, no settings and no server.

Examples:
  gatehouse docs
  gatehouse docs --out site`
}

// Run serves the documentation, or writes it.
func (d docsCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	site, err := handbook.Make()
	if err != nil {
		return err
	}
	if d.Out != "" {
		if err := site.Write(d.Out); err != nil {
			return err
		}
		_, err := fmt.Fprintf(t.Out, "%d files in %s.\n", len(site), d.Out)
		return err
	}
	return site.Serve(ctx, d.Addr, func(url string) { fmt.Fprintf(t.Err, "The documentation is at %s; ^C ends it.\n", url) })
}
