package main

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type clientCommand struct {
	Create clientCreate `cmd:"" help:"Register an application, and print its secret."`
	List   clientList   `cmd:"" help:"List the registered applications, the oldest first."`
	Rotate clientRotate `cmd:"" help:"Give an application a new secret."`
	Delete clientDelete `cmd:"" help:"Take an application away."`
}

func (clientCommand) Help() string {
	return `Registered applications may ask about tokens: POST /v1/token/introspect, POST /v1/token/revoke and GET /v1/revocations, with HTTP Basic authentication. A server that runs obeys within a second.

An application is named by its id or its name.

Example:
  gatehouse client create billing`
}

// clientJSON is an application for programs.
type clientJSON struct {
	ID        string     `json:"client_id"`
	Name      string     `json:"name"`
	Secret    string     `json:"client_secret,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	RotatedAt time.Time  `json:"rotated_at"`
	Old       string     `json:"old_secret"` // none, until or until_told
	OldUntil  *time.Time `json:"old_secret_until"`
}

func newClientJSON(c client.Client, secret string) clientJSON {
	j := clientJSON{ID: c.ID, Name: c.Name, Secret: secret, CreatedAt: c.CreatedAt, RotatedAt: c.RotatedAt, Old: "none"}
	switch {
	case c.OldUntil.Equal(client.Forever):
		j.Old = "until_told"
	case !c.OldUntil.IsZero():
		j.Old, j.OldUntil = "until", jsonTime(c.OldUntil)
	}
	return j
}

// until says in words until when the old secret is good.
func until(c client.Client) string {
	if c.OldUntil.Equal(client.Forever) {
		return "until told"
	}
	return day(c.OldUntil)
}

// showSecret prints what is shown once.
func (t *terminal) showSecret(c client.Client, secret, said string, asJSON bool) error {
	if asJSON {
		return t.json(newClientJSON(c, secret))
	}
	fmt.Fprintln(t.err, said+" Keep the secret now: it is not shown again.")
	return t.table([][]string{{"client_id", c.ID}, {"client_secret", secret}})
}

type clientCreate struct {
	Name string `arg:"" help:"Its name: small letters, digits, dots, hyphens and underscores."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (clientCreate) Help() string {
	return `The secret is printed once, and only its hash is kept.

Example:
  gatehouse client create billing`
}

// Run registers the application.
func (c clientCreate) Run(ctx context.Context, t *terminal) error {
	return t.operator(ctx, func(o *flow.Operator) error {
		made, secret, err := o.CreateClient(ctx, c.Name, t.origin())
		if err != nil {
			return err
		}
		return t.showSecret(made, secret, "Registered "+made.Name+".", c.JSON)
	})
}

type clientList struct {
	JSON bool `name:"json" help:"Print JSON, an application a line."`
}

func (clientList) Help() string { return "Example:\n  gatehouse client list" }

// Run lists the applications.
func (c clientList) Run(ctx context.Context, t *terminal) error {
	return t.operator(ctx, func(o *flow.Operator) error {
		list, err := o.Clients(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			for _, one := range list {
				if err := t.jsonLine(newClientJSON(one, "")); err != nil {
					return err
				}
			}
			return nil
		}
		if len(list) == 0 {
			fmt.Fprintln(t.err, "There are no applications yet. Register one: gatehouse client create NAME")
			return nil
		}
		lines := [][]string{{"ID", "NAME", "CREATED", "ROTATED", "OLD SECRET GOOD UNTIL"}}
		for _, one := range list {
			lines = append(lines, []string{one.ID, one.Name, day(one.CreatedAt), day(one.RotatedAt), until(one)})
		}
		return t.table(lines)
	})
}

// keepMax is the longest time that can be stated for an old secret.
const keepMax = 90 * 24 * time.Hour

type clientRotate struct {
	Client    string        `arg:"" help:"Its id or its name."`
	Keep      time.Duration `default:"24h" help:"How long the old secret stays good: 0 to 2160h. (${default})"`
	UntilTold bool          `help:"The old secret stays good until it is ended with --end-old."`
	EndOld    bool          `help:"Make no new secret, and end the old one of an earlier rotation."`
	Yes       bool          `help:"Do it even if a secret ends at once. Without this it then only says what it would do."`
	JSON      bool          `name:"json" help:"Print JSON."`
}

func (clientRotate) Help() string {
	return `The new secret is printed once. The old one stays good for a day, or as you say, so that an application on many machines can change them one by one. There is one old secret at most: a rotation ends the one before that.

The metric gatehouse_flows_total{flow="authenticate_client",outcome="old_secret"} shows whether the old one is still in use.

Examples:
  gatehouse client rotate billing
  gatehouse client rotate --until-told billing
  gatehouse client rotate --end-old --yes billing
  gatehouse client rotate --keep 0s --yes billing`
}

// Run rotates the secret, or says what that would end.
func (c clientRotate) Run(ctx context.Context, t *terminal) error {
	if c.Keep < 0 || c.Keep > keepMax {
		return usageError("--keep is a time from 0s to 2160h.")
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		have, err := o.Client(ctx, c.Client)
		if err != nil {
			return err
		}
		if ends := c.ends(have); ends != "" && !c.Yes {
			_, err := fmt.Fprintf(t.out, "This would end %s of %s at once. Say --yes to do it.\n", ends, have.Name)
			return err
		}
		if c.EndOld {
			have, err = o.EndOldSecret(ctx, have.ID, t.origin())
			if err == nil {
				fmt.Fprintf(t.err, "The old secret of %s is refused from now on.\n", have.Name)
			}
			return err
		}
		keep := now().Add(c.Keep)
		if c.UntilTold {
			keep = client.Forever
		}
		have, secret, err := o.RotateClient(ctx, have.ID, keep, t.origin())
		if err != nil {
			return err
		}
		said := "Made a new secret for " + have.Name + ". The old one is refused from now on."
		if !have.OldUntil.IsZero() {
			said = "Made a new secret for " + have.Name + ". The old one stays good: " + until(have) + "."
		}
		return t.showSecret(have, secret, said, c.JSON)
	})
}

// ends says which secrets would end at once.
func (c clientRotate) ends(have client.Client) string {
	old := !have.OldUntil.IsZero()
	switch {
	case c.EndOld && old, !c.EndOld && old && (c.Keep > 0 || c.UntilTold):
		return "the old secret (good: " + until(have) + ")"
	case !c.EndOld && c.Keep == 0 && !c.UntilTold:
		return "every secret"
	}
	return ""
}

type clientDelete struct {
	Client string `arg:"" help:"Its id or its name."`
	Yes    bool   `help:"Do it. Without this it only says what it would do."`
}

func (clientDelete) Help() string { return "Example:\n  gatehouse client delete --yes billing" }

// Run deletes the application, or says that it would.
func (c clientDelete) Run(ctx context.Context, t *terminal) error {
	return t.operator(ctx, func(o *flow.Operator) error {
		have, err := o.Client(ctx, c.Client)
		if err != nil {
			return err
		}
		if !c.Yes {
			_, err := fmt.Fprintf(t.out, "This would delete the application %s (%s), whose secrets are refused from then on. Say --yes to do it.\n", have.Name, have.ID)
			return err
		}
		if have, err = o.DeleteClient(ctx, have.ID, t.origin()); err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.out, "Deleted the application %s (%s).\n", have.Name, have.ID)
		return err
	})
}
