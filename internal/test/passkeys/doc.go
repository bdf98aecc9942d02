// Package passkeys tests passkeys, alone and behind a password, through the whole server.
package passkeys
