package main

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type clientCommand struct {
	Create  clientCreate  `cmd:"" help:"Register an application and print its secret."`
	List    clientList    `cmd:"" help:"List the registered applications, the oldest first."`
	Show    clientShow    `cmd:"" help:"Show an application with its settings."`
	Set     clientSet     `cmd:"" help:"Change what an application may do."`
	Apply   clientApply   `cmd:"" help:"Have the applications be what a file says."`
	Rotate  clientRotate  `cmd:"" help:"Give an application a new secret."`
	Disable clientDisable `cmd:"" help:"Refuse an application everywhere, until it is enabled again."`
	Enable  clientEnable  `cmd:"" help:"Accept a disabled application again."`
	Delete  clientDelete  `cmd:"" help:"Delete an application."`
}

func (clientCommand) Help() string {
	return `A service may introspect and revoke tokens: POST /v1/token/introspect, POST /v1/token/revoke and GET /v1/revocations, with HTTP Basic
authentication. Applications of the other types sign people in with OpenID Connect: web (on a server, with a secret), spa (in a
browser), native (on a person's computer or phone) and device (without a keyboard). Running servers apply a change within a second.

An application is identified by its id or its name.

Examples:
  gatehouse client create billing
  gatehouse client create --type web --redirect-uri https://grafana.example.com/login/generic_oauth grafana`
}

// clientJSON is an application for programs.
type clientJSON struct {
	ID        string     `json:"client_id"`
	Name      string     `json:"name"`
	Type      string     `json:"type"`
	Secret    string     `json:"client_secret,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	RotatedAt time.Time  `json:"rotated_at"`
	Old       string     `json:"old_secret"` // none, until or until_told
	OldUntil  *time.Time `json:"old_secret_until"`
	Disabled  *time.Time `json:"disabled_at"`
	FromFile  bool       `json:"managed_by_file,omitempty"`
	Self      bool       `json:"registered_itself,omitempty"`
	client.Settings
}

func newClientJSON(c client.Client, secret string) clientJSON {
	j := clientJSON{
		ID: c.ID, Name: c.Name, Type: string(c.Type), Secret: secret, CreatedAt: c.CreatedAt, RotatedAt: c.RotatedAt, Old: "none", Settings: c.Settings,
		FromFile: c.FromFile, Self: c.Self,
	}
	if !c.DisabledAt.IsZero() {
		j.Disabled = terminal.JSONTime(c.DisabledAt)
	}
	switch {
	case c.OldUntil.Equal(client.Forever):
		j.Old = "until_told"
	case !c.OldUntil.IsZero():
		j.Old, j.OldUntil = "until", terminal.JSONTime(c.OldUntil)
	}
	return j
}

// until says in words until when the old secret is good.
func until(c client.Client) string {
	if c.OldUntil.Equal(client.Forever) {
		return "until revoked"
	}
	return terminal.Time(c.OldUntil)
}

// showSecret prints what is shown once.
func showSecret(t *terminal.Terminal, c client.Client, secret, said string, asJSON bool) error {
	if asJSON {
		return t.JSON(newClientJSON(c, secret))
	}
	if secret == "" {
		why := "what runs in a browser, or on a person's computer, can't keep one."
		if c.Type == client.Guarded {
			why = "its proxy asks for it."
		}
		if c.Settings.Keyed() {
			why = "it shows who it is with its private key."
		}
		fmt.Fprintln(t.Err, said+" It has no secret: "+why)
		return t.Table([][]string{{"client_id", c.ID}})
	}
	fmt.Fprintln(t.Err, said+" Keep the secret now: it is not shown again.")
	return t.Table([][]string{{"client_id", c.ID}, {"client_secret", secret}})
}

type clientCreate struct {
	Name string `arg:"" help:"Its name: lower-case letters, digits, dots, hyphens and underscores."`
	Type string `default:"service" enum:"service,web,spa,native,device,guarded" help:"What kind of program it is (${default}): ${enum}."`
	clientSettings
	JSON bool `name:"json" help:"Print JSON."`
}

func (clientCreate) Help() string {
	return `The secret is printed once; only its hash is stored. A redirect URI is where the application takes the answer, to the letter.

Examples:
  gatehouse client create billing
  gatehouse client create --type web --title Grafana --redirect-uri https://grafana.example.com/login/generic_oauth grafana
  gatehouse client create --type spa --redirect-uri https://app.example.com/callback --first-party shop
  gatehouse client create --type native --redirect-uri http://127.0.0.1/callback tool
  gatehouse client create --type guarded --redirect-uri https://wiki.example.com/.gatehouse/enter wiki`
}

// Run registers the application.
func (c clientCreate) Run(ctx context.Context, t *terminal.Terminal) error {
	change, err := c.change()
	if err != nil {
		return err
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		made, secret, err := o.RegisterClient(ctx, c.Name, client.Type(c.Type), change(client.Settings{}), t.Origin())
		if err != nil {
			return err
		}
		return showSecret(t, made, secret, "Registered "+made.Name+".", c.JSON)
	})
}

type clientList struct {
	JSON bool `name:"json" help:"Print JSON, one application per line."`
}

func (clientList) Help() string { return "Example:\n  gatehouse client list" }

// Run lists the applications.
func (c clientList) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		list, err := o.Clients(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			for _, one := range list {
				if err := t.JSONLine(newClientJSON(one, "")); err != nil {
					return err
				}
			}
			return nil
		}
		if len(list) == 0 {
			fmt.Fprintln(t.Err, "There are no applications yet. Register one: gatehouse client create NAME")
			return nil
		}
		lines := [][]string{{"ID", "NAME", "TYPE", "CREATED", "ROTATED", "OLD SECRET VALID UNTIL", "DISABLED"}}
		for _, one := range list {
			lines = append(lines, []string{
				one.ID, one.Name, string(one.Type), terminal.Time(one.CreatedAt), terminal.Time(one.RotatedAt), until(one), terminal.Time(one.DisabledAt),
			})
		}
		return t.Table(lines)
	})
}

// keepMax is the longest time that can be stated for an old secret.
const keepMax = 90 * 24 * time.Hour

type clientRotate struct {
	Client    string        `arg:"" help:"Its id or its name."`
	Keep      time.Duration `default:"24h" help:"How long the old secret stays valid: 0 to 2160h (${default})."`
	UntilTold bool          `help:"Keep the old secret valid until you revoke it with --end-old."`
	EndOld    bool          `help:"Revoke the old secret of an earlier rotation, without making a new one."`
	Yes       bool          `help:"Do it even if a secret is revoked at once. Otherwise it only says what it would do."`
	JSON      bool          `name:"json" help:"Print JSON."`
}

func (clientRotate) Help() string {
	return `The new secret is printed once. The old one stays valid for a day, or for as long as --keep says, so that an application on many
machines can switch one by one. There is at most one old secret: another rotation revokes the one before.

The metric gatehouse_flows_total{flow="authenticate_client",outcome="old_secret"} shows whether the old secret is still in use.

Examples:
  gatehouse client rotate billing
  gatehouse client rotate --until-told billing
  gatehouse client rotate --end-old --yes billing
  gatehouse client rotate --keep 0s --yes billing`
}

// Run rotates the secret, or says what that would end.
func (c clientRotate) Run(ctx context.Context, t *terminal.Terminal) error {
	if c.Keep < 0 || c.Keep > keepMax {
		return terminal.UsageError("--keep must be between 0s and 2160h.")
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		have, err := o.Client(ctx, c.Client)
		if err != nil {
			return err
		}
		if ends := c.ends(have); ends != "" && !c.Yes {
			_, err := fmt.Fprintf(t.Out, "This would revoke %s of %s at once. Add --yes to do it.\n", ends, have.Name)
			return err
		}
		if c.EndOld {
			have, err = o.EndOldSecret(ctx, have.ID, t.Origin())
			if err == nil {
				fmt.Fprintf(t.Err, "The old secret of %s is refused from now on.\n", have.Name)
			}
			return err
		}
		keep := time.Now().Add(c.Keep)
		if c.UntilTold {
			keep = client.Forever
		}
		have, secret, err := o.RotateClient(ctx, have.ID, keep, t.Origin())
		if err != nil {
			return err
		}
		said := "Made a new secret for " + have.Name + ". The old one is refused from now on."
		if !have.OldUntil.IsZero() {
			said = "Made a new secret for " + have.Name + ". The old one stays valid: " + until(have) + "."
		}
		return showSecret(t, have, secret, said, c.JSON)
	})
}

// ends says which secrets would end at once.
func (c clientRotate) ends(have client.Client) string {
	old := !have.OldUntil.IsZero()
	switch {
	case c.EndOld && old, !c.EndOld && old && (c.Keep > 0 || c.UntilTold):
		return "the old secret (valid: " + until(have) + ")"
	case !c.EndOld && c.Keep == 0 && !c.UntilTold:
		return "every secret"
	}
	return ""
}

type clientDelete struct {
	Client string `arg:"" help:"Its id or its name."`
	Yes    bool   `help:"Do it. Without it, the command only says what it would do."`
}

func (clientDelete) Help() string { return "Example:\n  gatehouse client delete --yes billing" }

// Run deletes the application, or says that it would.
func (c clientDelete) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		have, err := o.Client(ctx, c.Client)
		if err != nil {
			return err
		}
		if !c.Yes {
			_, err := fmt.Fprintf(t.Out, "This would delete the application %s (%s) and refuse its secrets from then on. Add --yes to do it.\n", have.Name, have.ID)
			return err
		}
		if have, err = o.DeleteClient(ctx, have.ID, t.Origin()); err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.Out, "Deleted the application %s (%s).\n", have.Name, have.ID)
		return err
	})
}
