package incident

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

type containCommand struct {
	Incident string   `arg:"" help:"Its name: INC-1."`
	Action   string   `arg:"" help:"What to do: see above."`
	User     []string `sep:"none" placeholder:"USER" help:"This account: its id or email address; can be repeated."`
	Network  []string `placeholder:"CIDR" help:"Whoever signed in from this network, or was last there; the networks to block. Several with commas."`
	Device   string   `placeholder:"NAME" help:"Sessions of this browser and system, such as 'Firefox on Linux'."`
	Since    string   `placeholder:"TIME" help:"Factors added, or a network used, since this time: 2026-11-28T06:00:00Z, or 3h."`
	Before   string   `placeholder:"TIME" help:"Sessions whose sign-in was before this time."`
	All      bool     `help:"Everybody."`
	Key      []string `placeholder:"PURPOSE" help:"Keys to revoke: access-sign, refresh-mac, csrf, or everything."`
	Client   string   `placeholder:"APP" help:"The application whose secret is replaced: its id or name."`
	Shut     []string `placeholder:"DOOR" help:"What to close: registration, changes or sign-in. Several with commas."`
	For      string   `placeholder:"DURATION" help:"How long blocks, or closed doors, stay: 2h, 7d."`
	Reason   string   `help:"Why: it goes into the event log. With --yes it is asked for."`
	Yes      bool     `help:"Do it. Without it, the command only counts what it would touch."`
	JSON     bool     `name:"json" help:"Print JSON."`
}

func (containCommand) Help() string {
	text := "The actions:\n"
	for _, a := range respond.Abouts {
		undo := ""
		if a.Undo != "" {
			undo = " (undo: yes)"
		}
		text += fmt.Sprintf("  %-16s %s%s\n", a.Does, a.Text, undo)
	}
	return text + `
Everything is in force on every running server within a second: "all" by a cut-off, with the rest done behind it. Broken off anywhere,
gatehouse incident resume, or a running server, does the rest, and nothing is done twice. Where APPROVALS=two, the gravest actions wait for
somebody else: gatehouse incident approve.

Examples:
  gatehouse incident contain INC-1 end-sessions --network 203.0.113.0/24
  gatehouse incident contain INC-1 reset-passwords --network 203.0.113.0/24 --since 3h --yes --reason "they got in"
  gatehouse incident contain INC-1 lockdown --shut changes,sign-in --for 2h --yes --reason "factors are being added"
  gatehouse incident contain INC-1 rotate-keys --key access-sign --yes --reason "the key was on the laptop"`
}

// order reads the flags.
func (c containCommand) order(now time.Time) (o respond.Order, err error) {
	o = respond.Order{
		Does: c.Action, Users: c.User, Device: c.Device, All: c.All, Client: c.Client, Why: c.Reason, Confirmed: c.Yes,
	}
	for _, s := range c.Network {
		n, err := terminal.Network(s)
		if err != nil {
			return o, err
		}
		o.Networks = append(o.Networks, n)
	}
	for _, s := range c.Key {
		o.Purposes = append(o.Purposes, keyring.Purpose(s))
	}
	for _, s := range c.Shut {
		o.Doors = append(o.Doors, lockdown.Door(s))
	}
	if c.For != "" {
		var ok bool
		if o.For, ok = terminal.Duration(c.For, 366*24*time.Hour); !ok {
			return o, terminal.UsageError(fmt.Sprintf("--for: %q is not a length of time: write 2h or 7d.", c.For))
		}
	}
	if o.Since, err = terminal.Moment(c.Since, now); err != nil {
		return o, err
	}
	o.Before, err = terminal.Moment(c.Before, now)
	return o, err
}

// previewJSON is a dry run for programs.
type previewJSON struct {
	DryRun  bool             `json:"dry_run"`
	Action  string           `json:"action"`
	Touches map[string]int64 `json:"touches"`
	Exact   bool             `json:"exact"`
	Sample  []string         `json:"sample"`
	Warning string           `json:"warning,omitempty"`
	Waits   bool             `json:"approval_needed,omitempty"`
}

// Run contains the incident, or says what that would touch.
func (c containCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	o, err := c.order(time.Now())
	if err != nil {
		return err
	}
	return one(ctx, t, c.Incident, func(d *respond.Desk, n int64) error {
		if !c.Yes {
			return c.preview(ctx, t, d, n, o)
		}
		done, err := d.Contain(ctx, n, o, operator(t))
		if err != nil {
			return err
		}
		return tellDone(t, n, done, c.JSON)
	})
}

// tellDone says what came of an order.
func tellDone(t *terminal.Terminal, n int64, done respond.Done, asJSON bool) error {
	if asJSON {
		return t.JSON(newActionJSON(done))
	}
	if done.State == incident.Waiting {
		fmt.Fprintf(t.Out, "%s waits for somebody else until %s. Nothing was done yet.\n", done.Does, terminal.Time(done.ExpiresAt))
		fmt.Fprintf(t.Err, "Another administrator approves it in the console, or another operator: gatehouse incident approve INC-%d %s\n", n, done.ID)
		return nil
	}
	fmt.Fprintf(t.Out, "%s: %s, %s.\n", done.Does, done.State, respond.Touched(done.Touched))
	if done.Secret != "" {
		fmt.Fprintf(t.Out, "The new secret, which is shown this once: %s\n", done.Secret)
	}
	if about, _ := respond.FindAbout(done.Does); about.Undo != "" {
		fmt.Fprintf(t.Err, "To take it back: gatehouse incident undo INC-%d %s --reason WHY\n", n, done.ID)
	}
	return nil
}

func (c containCommand) preview(ctx context.Context, t *terminal.Terminal, d *respond.Desk, n int64, o respond.Order) error {
	p, err := d.PreviewFor(ctx, n, o)
	if err != nil {
		return err
	}
	return tellPreview(t, p, c.Reason, c.JSON)
}

// tellPreview says what would be touched, and what has it done.
func tellPreview(t *terminal.Terminal, p respond.Preview, reason string, asJSON bool) error {
	warning := ""
	if p.Caught != nil {
		warning = p.Caught.Error()
	}
	if asJSON {
		out := previewJSON{DryRun: true, Action: p.About.Does, Touches: p.Touches, Exact: p.Exact, Sample: []string{}, Warning: warning, Waits: p.Waits}
		for _, a := range p.Sample {
			out.Sample = append(out.Sample, a.Email)
		}
		return t.JSON(out)
	}
	more := ""
	if !p.Exact {
		more = " or more"
	}
	fmt.Fprintf(t.Out, "%s (%s). This would touch %s%s.\n", p.About.Text, p.Order, p.Touches, more)
	for _, a := range p.Sample {
		fmt.Fprintf(t.Out, "  for example %s\n", a.Email)
	}
	if warning != "" {
		fmt.Fprintln(t.Err, warning)
	}
	add := "--yes"
	if reason == "" {
		add += " and --reason"
	}
	to := "do it"
	if p.Waits {
		to = "ask for it: somebody else has to approve it (APPROVALS=two)"
	}
	_, err := fmt.Fprintf(t.Out, "Nothing was done. Add %s to %s.\n", add, to)
	return err
}

// anAction names an action, and why something is done to it.
type anAction struct {
	Incident string `arg:"" help:"Its name: INC-1."`
	Action   string `arg:"" help:"The action's id: gatehouse incident show lists them."`
	Reason   string `required:"" help:"Why: it goes into the event log."`
}

type undoCommand struct{ anAction }

func (undoCommand) Help() string {
	return `Blocks, closed doors, suspended factors and disabled accounts can be taken back, of closed incidents too. What somebody else has changed
meanwhile stays, and what another action wants as well.

Example:
  gatehouse incident undo INC-1 0198c0de-0000-7000-8000-000000000001 --reason "the network is our own office"`
}

// Run takes it back.
func (c undoCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return one(ctx, t, c.Incident, func(d *respond.Desk, n int64) error {
		a, err := d.Undo(ctx, n, c.Action, c.Reason, operator(t))
		if err != nil {
			return err
		}
		about, _ := respond.FindAbout(a.Does)
		_, err = fmt.Fprintf(t.Out, "Taken back: %s.\n", about.Undo)
		return err
	})
}

type stopCommand struct{ anAction }

func (stopCommand) Help() string {
	return `What waits for somebody else's approval is withdrawn. What an action has done so far stays; where that can be taken back, gatehouse
incident undo takes it back. Of a notice, the mails that are queued already go out. An action of an administrator who is none any more, or is
disabled, stops by itself.

Example:
  gatehouse incident stop INC-1 0198c0de-0000-7000-8000-000000000001 --reason "it was to be another network"`
}

// Run stops it.
func (c stopCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return one(ctx, t, c.Incident, func(d *respond.Desk, n int64) error {
		a, err := d.Stop(ctx, n, c.Action, c.Reason, operator(t))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.Out, "%s: %s, %s.\n", a.Does, a.State, respond.Touched(a.Touched))
		return err
	})
}

type resumeCommand struct {
	Incident string `arg:"" help:"Its name: INC-1."`
}

func (resumeCommand) Help() string {
	return `A running server does so by itself, within a minute.

Example:
  gatehouse incident resume INC-1`
}

// Run goes on with what was broken off.
func (c resumeCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return one(ctx, t, c.Incident, func(d *respond.Desk, n int64) error {
		done, err := d.Resume(ctx, n)
		for _, a := range done {
			fmt.Fprintf(t.Out, "%s: %s, %s.\n", a.Does, a.State, respond.Touched(a.Touched))
		}
		if err == nil && len(done) == 0 {
			_, err = fmt.Fprintln(t.Out, "Everything was done to its end.")
		}
		return err
	})
}
