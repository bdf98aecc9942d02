package main

import (
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
)

type nginxCommand struct {
	Guard    string   `placeholder:"ADDRESS" help:"Also protect an application at this address, such as 127.0.0.1:8080. It gets every path but ours."`
	Replicas []string `placeholder:"ADDRESS" help:"The addresses of all replicas, if there are several: 10.0.0.11:8000,10.0.0.12:8000."`
}

func (nginxCommand) Help() string {
	return `It prints a server block for the effective settings: TLS 1.2 and 1.3, limits, and the headers that say who is calling. Fill in
the paths of your certificate. With --guard, the block also serves an application on the same host, and asks Gatehouse about every
request to it. With --replicas it is in front of all of them.

Example:
  gatehouse nginx --env-file /etc/gatehouse/env > /etc/nginx/conf.d/gatehouse.conf`
}

// Run prints it.
func (c nginxCommand) Run(t *terminal.Terminal) error {
	settings, _, err := t.Settings()
	if err != nil {
		return err
	}
	text, err := app.Nginx(settings, c.Guard, c.Replicas...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(t.Out, text)
	return err
}
