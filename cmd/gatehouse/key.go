package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type keyCommand struct {
	List   keyList   `cmd:"" help:"List the installation's keys."`
	Rotate keyRotate `cmd:"" help:"Sign access tokens with the next key. Nobody is signed out."`
	Revoke keyRevoke `cmd:"" help:"Revoke keys, and everything made with them, at once."`
}

func (keyCommand) Help() string {
	return `Running servers apply a change within a second. They rotate the key for access tokens themselves: see JWT_KEY_ROTATION_DAYS.
After a leak, see docs/guides/keys.md.

Example:
  gatehouse key list`
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
	JSON bool `name:"json" help:"Print JSON, one key per line."`
}

func (keyList) Help() string {
	return `access-sign is the key that signs access tokens; its id is the kid in their headers. The others are for refresh tokens, cookies and so
on. SECRETS are the fingerprints of the JWT_SECRET_KEYs that a key is sealed under: two while the secret is being changed.

Example:
  gatehouse key list --json | jq -r 'select(.state == "signing") | .id'`
}

// Run lists the keys.
func (k keyList) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Keys(ctx, func(f *operate.Keys) error {
		all := f.List()
		at := time.Now()
		list := make([]keyJSON, 0, len(all))
		lines := [][]string{{"ID", "PURPOSE", "ALGORITHM", "STATE", "CREATED", "FROM", "UNTIL", "SECRETS"}}
		for _, one := range all {
			state, until := keyState(one, f.Ring.Keys(one.Purpose), at)
			list = append(list, keyJSON{
				ID: one.Name, Purpose: string(one.Purpose), Algorithm: one.Algorithm, State: state, CreatedAt: one.CreatedAt.UTC(),
				From: terminal.JSONTime(one.From), Until: terminal.JSONTime(until), RevokedAt: terminal.JSONTime(one.RevokedAt), Secrets: one.Secrets,
			})
			lines = append(lines, []string{
				one.Name, string(one.Purpose), one.Algorithm, state,
				terminal.Time(one.CreatedAt), terminal.Time(one.From), terminal.Time(until), strings.Join(one.Secrets, ","),
			})
		}
		if k.JSON {
			return terminal.JSONLines(t, list)
		}
		return t.Table(lines)
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
	Now bool `help:"Don't wait until applications that cache the published keys have fetched them again."`
}

func (keyRotate) Help() string {
	return `The next key is already published. It takes over at once if it has been for ten minutes, which is longer than applications may cache
keys. The old key stays published until its last token has expired. This signs nobody out, so there is no --yes.

Example:
  gatehouse key rotate`
}

// Run rotates the key for access tokens.
func (k keyRotate) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Keys(ctx, func(f *operate.Keys) error {
		next, err := f.Rotate(ctx, k.Now, t.Origin())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.Out, "The key %s (%s) signs access tokens from %s on.\n", next.Name, next.Algorithm, terminal.Time(next.From))
		return err
	})
}

type keyRevoke struct {
	IDs        []string `arg:"" optional:"" name:"id" help:"Its id, as gatehouse key list prints it."`
	Everything bool     `help:"Every key except those of the outbox and of second factors: for a leak of JWT_SECRET_KEY together with the database or a backup."`
	Yes        bool     `help:"Do it. Without it, the command only says what it would do."`
}

func (keyRevoke) Help() string {
	return `Every access token that the key has signed is refused within a second, by every replica, and the next key takes over. People stay signed
in: their applications get new tokens with the refresh token. --everything signs everybody out. If JWT_SECRET_KEY has leaked, change it
first, and restart the servers afterwards.

Examples:
  gatehouse key revoke 3q2-7wFvZ0m1kQx9uYtRnLsPdHcJbGeAiKoMzXvWq5E
  gatehouse key revoke --everything --yes`
}

// Run revokes keys, or says what that would do.
func (k keyRevoke) Run(ctx context.Context, t *terminal.Terminal) error {
	if k.Everything == (len(k.IDs) > 0) {
		return terminal.UsageError("Name the keys to revoke, or use --everything.")
	}
	return t.Keys(ctx, func(f *operate.Keys) error {
		if !k.Yes {
			return k.report(t, f)
		}
		var (
			revoked []keyring.Key
			err     error
		)
		if k.Everything {
			revoked, err = f.RevokeLeaked(ctx, t.Origin())
		} else {
			revoked, err = f.Revoke(ctx, k.IDs, t.Origin())
		}
		if err != nil {
			return err
		}
		for _, one := range revoked {
			fmt.Fprintf(t.Out, "Revoked %s (%s).\n", one.Name, one.Purpose)
		}
		if k.Everything {
			fmt.Fprintln(t.Out, "Everybody is signed out. Restart the servers one by one, and end the sessions that are still listed: gatehouse session revoke --all")
		}
		if len(revoked) == 0 {
			fmt.Fprintln(t.Out, "They were already revoked.")
		}
		return nil
	})
}

// report says what would be revoked, and what that costs.
func (k keyRevoke) report(t *terminal.Terminal, f *operate.Keys) error {
	names := k.IDs
	if k.Everything {
		for _, p := range operate.Leaked() {
			for _, one := range f.Ring.Keys(p) {
				names = append(names, one.Name)
			}
		}
	}
	at := time.Now()
	for _, name := range names {
		one, ok := findKey(f.List(), name)
		if !ok {
			return keyring.ErrKeyNotFound
		}
		state, _ := keyState(one, f.Ring.Keys(one.Purpose), at)
		if state == "revoked" {
			continue
		}
		cost, ok := operate.Revocable[one.Purpose]
		switch {
		case !ok && !k.Everything:
			return operate.ErrNotRevocable
		case !ok:
			cost = "the servers use it together with the others"
		case state == "next" || state == "scheduled":
			cost = "it has not signed anything yet; another one takes its place"
		case state == "expired":
			cost = "everything that it signed has expired"
		}
		fmt.Fprintf(t.Out, "This would revoke %s (%s, %s): %s.\n", one.Name, one.Purpose, state, cost)
	}
	if k.Everything {
		fmt.Fprintln(t.Out, "Everybody would be signed out, and have to sign in again.")
	}
	_, err := fmt.Fprintln(t.Out, "Add --yes to do it.")
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
