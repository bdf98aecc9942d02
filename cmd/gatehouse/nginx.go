package main

import (
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/app"
)

type nginxCommand struct {
	Guard string `placeholder:"ADDRESS" help:"Print also what guards an application at this address, such as 127.0.0.1:8080: it then has every path but Gatehouse's own."`
}

func (nginxCommand) Help() string {
	return `It prints a server block for the settings in force: TLS 1.2 and 1.3, limits, and the headers that tell Gatehouse who is calling. Put the paths of your certificate in.
With --guard it has an application on the same host, whose every request Gatehouse is asked about.

Example:
  gatehouse nginx --env-file /etc/gatehouse/env > /etc/nginx/conf.d/gatehouse.conf`
}

// Run prints it.
func (c nginxCommand) Run(t *terminal) error {
	settings, _, err := t.settings()
	if err != nil {
		return err
	}
	text, err := app.Nginx(settings, c.Guard)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(t.out, text)
	return err
}
