package main

import (
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
)

type secretCommand struct{}

func (secretCommand) Help() string {
	return `Prints 32 bytes from the operating system's random source in base64url: 43 characters.

Example:
  (umask 077; gatehouse secret > jwt_secret)    # then set JWT_SECRET_KEY_FILE=jwt_secret`
}

// Run prints a secret (JWT-1).
func (secretCommand) Run(t *terminal.Terminal) error {
	_, err := fmt.Fprintln(t.Out, secret.Random{}.Text(secret.KeySize))
	return err
}
