package incident

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

type recoverCommand struct {
	Incident   string `arg:"" help:"Its name: INC-1."`
	Compare    string `placeholder:"BACKUP" help:"Compare with this backup, or with the newest from before the incident: before."`
	Identity   string `placeholder:"PATH" help:"The file with the secret key that opens the backup."`
	Checkpoint string `placeholder:"PATH" help:"A checkpoint of the event log that was kept elsewhere, such as the file of EVENT_ANCHOR."`
	JSON       bool   `name:"json" help:"Print JSON."`
}

func (recoverCommand) Help() string {
	return `It verifies the event log, says what is still closed, blocked or disabled with the command that takes it back, and what of the checklist is
left. With --compare it restores a backup into a scratch file in BACKUP_SCRATCH_DIR, which is deleted after, and lists whose address, roles,
password, hash and second factors are not what they were, and which applications: additions are where attackers stay. A hash that changed
while the password did not was written anew at a sign-in, or by somebody who can write to the database.

Examples:
  gatehouse incident recover INC-1
  gatehouse incident recover INC-1 --compare before --identity backup-key.txt`
}

// recoveryJSON is what is to be mended, for programs.
type recoveryJSON struct {
	Log      event.Report        `json:"log"`
	Open     []actionJSON        `json:"open"`
	Left     []string            `json:"steps_left"`
	Compared *respond.Comparison `json:"compared,omitempty"`
}

// errTampered makes the command exit with 1.
var errTampered = errors.New("the event log does not verify: what it says of the incident may not be what happened")

// Run says what there is to mend.
func (c recoverCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	if (c.Compare == "") != (c.Identity == "") {
		return terminal.UsageError("--compare and --identity go together: the key opens the backup.")
	}
	options := event.VerifyOptions{}
	if c.Checkpoint != "" {
		text, err := os.ReadFile(c.Checkpoint)
		if err != nil {
			return fmt.Errorf("the checkpoint can't be read: %w", err)
		}
		options.Checkpoint = event.LastCheckpoint(string(text))
	}
	return one(ctx, t, c.Incident, func(d *respond.Desk, n int64) error {
		var compare func(ctx context.Context) (*respond.Comparison, error)
		if c.Compare != "" {
			compare = func(ctx context.Context) (*respond.Comparison, error) { return c.compare(ctx, t, d, n) }
		}
		r, err := d.Recover(ctx, n, options, compare, operator(t))
		if err != nil {
			return err
		}
		if err := c.print(t, r); err != nil {
			return err
		}
		if len(r.Log.Findings) > 0 {
			return errTampered
		}
		return nil
	})
}

func (c recoverCommand) compare(ctx context.Context, t *terminal.Terminal, d *respond.Desk, n int64) (*respond.Comparison, error) {
	text, err := os.ReadFile(c.Identity)
	if err != nil {
		return nil, fmt.Errorf("--identity: %w", err)
	}
	s, err := d.Show(ctx, n)
	if err != nil {
		return nil, err
	}
	settings, _, err := t.Settings()
	if err != nil {
		return nil, err
	}
	log, events := t.Logs(settings)
	k, install, done, err := app.OperatorBackups(ctx, settings, t.Version, log, events)
	if err != nil {
		return nil, err
	}
	bar := t.NewProgress(c.JSON)
	out, err := app.CompareWithBackup(ctx, d, k, install, c.Compare, s.Incident, text,
		func(p backup.Progress) { bar.Show(p.Step, p.Done, p.Of) })
	bar.End()
	return out, errors.Join(err, done())
}

func (c recoverCommand) print(t *terminal.Terminal, r respond.Recovery) error {
	left := []string{}
	for _, step := range incident.Steps {
		if _, done := r.Done[step]; !done {
			left = append(left, string(step))
		}
	}
	if c.JSON {
		out := recoveryJSON{Log: r.Log, Open: []actionJSON{}, Left: left, Compared: r.Compared}
		for _, a := range r.Open() {
			out.Open = append(out.Open, newActionJSON(respond.Done{Action: a}))
		}
		return t.JSON(out)
	}
	for _, f := range r.Log.Findings {
		fmt.Fprintf(t.Out, "%s: %s\n", f.What, f.Text)
	}
	if len(r.Log.Findings) == 0 {
		fmt.Fprintf(t.Out, "The event log is intact: %s.\n", terminal.Count(int(r.Log.Leaves), "event"))
	}
	printComparison(t, r.Compared)
	for _, a := range r.Open() {
		fmt.Fprintf(t.Out, "Still in force: %s, %s. Once it is over: gatehouse incident undo %s %s --reason WHY\n",
			a.Does, respond.Touched(a.Touched), r.Name(), a.ID)
	}
	_, err := fmt.Fprintf(t.Out, `To restore all: freeze the evidence and write the report first, since the incident is in no backup from before it;
then stop the servers, and gatehouse backup restore. To mend one by one: gatehouse user roles, user factor reset, client set, client delete.
Left of the checklist: %s. Tick what is done: gatehouse incident step %s STEP
`, strings.Join(left, ", "), r.Name())
	return err
}

// printing leaves out what a terminal would obey: whoever can write to the database chose some of it.
func printing(line string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, line)
}

func printComparison(t *terminal.Terminal, c *respond.Comparison) {
	if c == nil {
		return
	}
	fmt.Fprintf(t.Out, "Compared with the backup %s of %s: %s.\n", c.Backup, terminal.Time(c.Taken), c)
	for i, d := range c.List {
		if i == shown {
			fmt.Fprintf(t.Out, "  %d more: --json lists them\n", len(c.List)-shown)
			break
		}
		line := "  " + d.Of + " " + d.How + ": " + d.ID
		if d.Name != "" {
			line += " (" + d.Name + ")"
		}
		if d.Account != "" {
			line += " of " + d.Account
		}
		if len(d.Parts) > 0 {
			line += ": " + strings.Join(d.Parts, "; ")
		}
		fmt.Fprintln(t.Out, printing(line))
	}
}
