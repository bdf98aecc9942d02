package main

import (
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/app"
)

type nginxCommand struct{}

func (nginxCommand) Help() string {
	return `It prints a server block for the settings in force: TLS 1.2 and 1.3, limits, and the headers that tell Gatehouse who is calling. Put the paths of your certificate in.

Example:
  gatehouse nginx --env-file /etc/gatehouse/env > /etc/nginx/conf.d/gatehouse.conf`
}

// Run prints it.
func (nginxCommand) Run(t *terminal) error {
	c, _, err := t.settings()
	if err != nil {
		return err
	}
	text, err := app.Nginx(c)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(t.out, text)
	return err
}
