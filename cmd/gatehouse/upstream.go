package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
)

type upstreamCommand struct {
	List  upstreamList  `cmd:"" help:"List the providers, and where each sends people back to."`
	Check upstreamCheck `cmd:"" help:"Ask each provider for what it publishes."`
}

func (upstreamCommand) Help() string {
	return `Other providers by which people sign in here are described by the file of UPSTREAMS_FILE: see docs/guides/other-providers.md. Servers read it when
they start.

Examples:
  gatehouse upstream list
  gatehouse upstream check`
}

type upstreamList struct {
	JSON bool `name:"json" help:"Print JSON, one provider per line."`
}

func (upstreamList) Help() string {
	return `It reads the file and asks nobody. The redirect URI is what to register at the provider.

Examples:
  gatehouse upstream list
  gatehouse upstream list --json`
}

// providerJSON is a provider for programs.
type providerJSON struct {
	ID       string   `json:"id"`
	Kind     string   `json:"kind"`
	Name     string   `json:"name"`
	Issuers  []string `json:"issuers"`
	ClientID string   `json:"client_id"`
	Callback string   `json:"redirect_uri"`
}

// Run lists them.
func (c upstreamList) Run(ctx context.Context, t *terminal.Terminal) error {
	list, err := providers(ctx, t, false)
	if err != nil {
		return err
	}
	for _, p := range list {
		if c.JSON {
			err = t.JSONLine(providerJSON{p.ID, string(p.Kind), p.Name, p.Issuers(), p.ClientID, p.Callback})
		} else {
			_, err = fmt.Fprintf(t.Out, "%s  %s  %s  %s\n  redirect URI: %s\n", p.ID, p.Kind, p.Name, strings.Join(p.Issuers(), " "), p.Callback)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type upstreamCheck struct{}

func (upstreamCheck) Help() string {
	return `It reads each provider's discovery document and keys, as a sign-in does, and exits with 1 if one of them can't be used now.

Examples:
  gatehouse upstream check`
}

var errProviders = errors.New("some of the providers can't be used now")

// Run asks each of them.
func (upstreamCheck) Run(ctx context.Context, t *terminal.Terminal) error {
	list, err := providers(ctx, t, true)
	for _, p := range list {
		said := "it answers, and publishes keys"
		if p.Err != nil {
			said, err = p.Err.Error(), errProviders
		}
		fmt.Fprintf(t.Out, "%s: %s\n", p.ID, said)
	}
	return err
}

// providers reads the file; without one there are none.
func providers(ctx context.Context, t *terminal.Terminal, ask bool) ([]app.ProviderCheck, error) {
	c, _, err := t.Settings()
	if err != nil {
		return nil, err
	}
	if c.UpstreamsFile == "" {
		fmt.Fprintln(t.Err, "UPSTREAMS_FILE is not set: people sign in by no other provider.")
		return nil, nil
	}
	return app.CheckProviders(ctx, c, ask)
}
