package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type keyCommand struct {
	List   keyList   `cmd:"" help:"List the keys of the installation."`
	Rotate keyRotate `cmd:"" help:"Have the next key sign access tokens. Nobody is signed out."`
	Revoke keyRevoke `cmd:"" help:"End keys, and what they have made, at once."`
}

func (keyCommand) Help() string {
	return `Servers that run obey within a second. They rotate the key for access tokens by themselves: see JWT_KEY_ROTATION_DAYS.
After a leak see docs/guides/keys.md.

Example:
  gatehouse key list`
}

// keys opens the database and the keys for one command, and closes them after.
func (t *terminal) keys(ctx context.Context, do func(*flow.Keys) error) error {
	c, log, err := t.settings()
	if err != nil {
		return err
	}
	t.warn(c)
	events := log
	if isTerminal(t.err) {
		events = slog.New(slog.DiscardHandler)
		log = t.log(max(c.LogLevel, slog.LevelWarn))
	}
	k, closeDB, err := app.OperatorKeys(ctx, c, log, events)
	if err != nil {
		return err
	}
	return errors.Join(do(k), closeDB())
}

// keyJSON is a key for programs. Nothing in it is secret.
type keyJSON struct {
	ID        string     `json:"id"`
	Purpose   string     `json:"purpose"`
	Algorithm string     `json:"algorithm,omitempty"`
	State     string     `json:"state"`
	CreatedAt time.Time  `json:"created_at"`
	From      *time.Time `json:"from"`
	Until     *time.Time `json:"until"`
	RevokedAt *time.Time `json:"revoked_at"`
	Secrets   []string   `json:"secret_fingerprints"`
}

type keyList struct {
	JSON bool `name:"json" help:"Print JSON, one key a line."`
}

func (keyList) Help() string {
	return `access-sign is the key that signs access tokens; its id is the kid in their headers. The others are for refresh tokens, cookies and
such. SECRETS are the fingerprints of the JWT_SECRET_KEYs that a key is sealed under: two while the secret is being changed.

Example:
  gatehouse key list --json | jq -r 'select(.state == "signing") | .id'`
}

// Run lists the keys.
func (k keyList) Run(ctx context.Context, t *terminal) error {
	return t.keys(ctx, func(f *flow.Keys) error {
		all := f.List()
		at := now()
		list := make([]keyJSON, 0, len(all))
		lines := [][]string{{"ID", "PURPOSE", "ALGORITHM", "STATE", "CREATED", "FROM", "UNTIL", "SECRETS"}}
		for _, one := range all {
			state, until := keyState(one, f.Ring.Keys(one.Purpose), at)
			list = append(list, keyJSON{
				ID: one.Name, Purpose: string(one.Purpose), Algorithm: one.Algorithm, State: state, CreatedAt: one.CreatedAt.UTC(),
				From: jsonTime(one.From), Until: jsonTime(until), RevokedAt: jsonTime(one.RevokedAt), Secrets: one.Secrets,
			})
			lines = append(lines, []string{one.Name, string(one.Purpose), one.Algorithm, state, day(one.CreatedAt), day(one.From), day(until), strings.Join(one.Secrets, ",")})
		}
		if k.JSON {
			return jsonLines(t, list)
		}
		return t.table(lines)
	})
}

// keyState says in a word what a key does now, and until when it is good if that
// is known.
func keyState(k keyring.Key, all []keyring.Key, at time.Time) (state string, until time.Time) {
	if !k.RevokedAt.IsZero() {
		return "revoked", k.RevokedAt
	}
	if k.Purpose != keyring.AccessSign {
		return "in force", time.Time{}
	}
	_, until = keyring.Replaced(all, k)
	signs, _ := keyring.InForce(all, at)
	switch {
	case k.ID == signs.ID:
		return "signing", until
	case k.From.IsZero():
		return "next", until
	case k.From.After(at):
		return "scheduled", until
	case until.After(at):
		return "retired", until
	}
	return "expired", until
}

type keyRotate struct {
	Now bool `help:"Do not wait until applications that keep the published keys have asked again."`
}

func (keyRotate) Help() string {
	return `The next key stands among the published ones already, and takes over at once if it has for ten minutes, as long as applications may
keep them and more. The old one is published until its last token has expired. It locks nobody out, so it does not ask.

Example:
  gatehouse key rotate`
}

// Run rotates the key for access tokens.
func (k keyRotate) Run(ctx context.Context, t *terminal) error {
	return t.keys(ctx, func(f *flow.Keys) error {
		next, err := f.Rotate(ctx, k.Now, t.origin())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.out, "The key %s (%s) signs access tokens from %s on.\n", next.Name, next.Algorithm, day(next.From))
		return err
	})
}

type keyRevoke struct {
	IDs        []string `arg:"" optional:"" name:"id" help:"What key list calls it."`
	Everything bool     `help:"Every key but the outbox's, as after a leak of JWT_SECRET_KEY together with the database or a backup."`
	Yes        bool     `help:"Do it. Without this it only says what it would do."`
}

func (keyRevoke) Help() string {
	return `Every access token that the key has signed is refused within a second, by every replica; the next key signs. People stay signed in: their
applications get new tokens with the refresh token. --everything signs everybody out. Change JWT_SECRET_KEY first, if that has leaked, and restart the
servers afterwards.

Examples:
  gatehouse key revoke 3q2-7wFvZ0m1kQx9uYtRnLsPdHcJbGeAiKoMzXvWq5E
  gatehouse key revoke --everything --yes`
}

// Run revokes keys, or says what that would do.
func (k keyRevoke) Run(ctx context.Context, t *terminal) error {
	if k.Everything == (len(k.IDs) > 0) {
		return usageError("Name the keys to revoke, or say --everything.")
	}
	return t.keys(ctx, func(f *flow.Keys) error {
		if !k.Yes {
			return k.report(t, f)
		}
		var (
			revoked []keyring.Key
			err     error
		)
		if k.Everything {
			revoked, err = f.RevokeLeaked(ctx, t.origin())
		} else {
			revoked, err = f.Revoke(ctx, k.IDs, t.origin())
		}
		if err != nil {
			return err
		}
		for _, one := range revoked {
			fmt.Fprintf(t.out, "Revoked %s (%s).\n", one.Name, one.Purpose)
		}
		if k.Everything {
			fmt.Fprintln(t.out, "Everybody is signed out. Now restart the servers, one after another, and end the sessions in the lists: gatehouse session revoke --all")
		}
		if len(revoked) == 0 {
			fmt.Fprintln(t.out, "Revoked already.")
		}
		return nil
	})
}

// report says what would be revoked, and what that costs.
func (k keyRevoke) report(t *terminal, f *flow.Keys) error {
	names := k.IDs
	if k.Everything {
		for _, p := range flow.Leaked() {
			for _, one := range f.Ring.Keys(p) {
				names = append(names, one.Name)
			}
		}
	}
	at := now()
	for _, name := range names {
		one, ok := findKey(f.List(), name)
		if !ok {
			return keyring.ErrKeyNotFound
		}
		state, _ := keyState(one, f.Ring.Keys(one.Purpose), at)
		if state == "revoked" {
			continue
		}
		cost, ok := flow.Revocable[one.Purpose]
		switch {
		case !ok && !k.Everything:
			return flow.ErrNotRevocable
		case !ok:
			cost = "servers need it together with the others"
		case state == "next" || state == "scheduled":
			cost = "it has signed nothing yet; another takes its place"
		case state == "expired":
			cost = "nothing that it has signed is good any more"
		}
		fmt.Fprintf(t.out, "This would revoke %s (%s, %s): %s.\n", one.Name, one.Purpose, state, cost)
	}
	if k.Everything {
		fmt.Fprintln(t.out, "Everybody would be signed out, and have to sign in again.")
	}
	_, err := fmt.Fprintln(t.out, "Say --yes to do it.")
	return err
}

func findKey(all []keyring.Key, name string) (keyring.Key, bool) {
	for _, k := range all {
		if k.Name == name {
			return k, true
		}
	}
	return keyring.Key{}, false
}
