package incident

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
)

type drillCommand struct {
	Auto bool   `help:"Do the steps as well, to show them."`
	Dir  string `placeholder:"PATH" help:"The folder to make the installation in: new or empty, and kept after. Without it one that is deleted."`
	JSON bool   `name:"json" help:"Print JSON at the end."`
}

func (drillCommand) Help() string {
	return `It makes an installation of its own with made-up people, and attacks it: refresh tokens are stolen and used from two networks, passwords are
tried across accounts until an administrator's is right, who gives somebody a role and registers an application. Then it leads through the
steps, from the first word to the report: run each command in another terminal; it sees when a step is done, and times it. Under 15 minutes
is well done. It reads no settings and no database of yours; keep the env -i of its commands, without which they would.

Examples:
  gatehouse incident drill
  gatehouse incident drill --auto`
}

// drilledJSON is how a drill went, for programs.
type drilledJSON struct {
	Steps   []drilledStepJSON `json:"steps"`
	Seconds float64           `json:"seconds"`
}

type drilledStepJSON struct {
	Text     string   `json:"text"`
	Commands []string `json:"commands"`
	Seconds  float64  `json:"seconds"`
}

// wellDone is in how long somebody who has never seen the tool goes through a drill.
const wellDone = 15 * time.Minute

// Run makes the installation, attacks it, and leads through the steps.
func (c drillCommand) Run(ctx context.Context, t *terminal.Terminal) (err error) {
	dir, end, err := c.folder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	fmt.Fprintln(t.Err, "Making an installation with made-up people in "+dir+", and attacking it …")
	d, err := app.NewDrill(ctx, dir, t.Version)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := d.Plant(ctx); err != nil {
		return err
	}
	return c.lead(ctx, t, d)
}

// folder returns the folder of the drill, and what is done with it after.
func (c drillCommand) folder() (dir string, end func() error, err error) {
	if c.Dir == "" {
		if dir, err = os.MkdirTemp("", "gatehouse-incident-drill-*"); err != nil {
			return "", nil, err
		}
		return dir, func() error { return os.RemoveAll(dir) }, nil
	}
	if dir, err = filepath.Abs(c.Dir); err != nil {
		return "", nil, err
	}
	const ownersFolder = 0o700
	if err := os.MkdirAll(dir, ownersFolder); err != nil {
		return "", nil, err
	}
	files, err := os.ReadDir(dir)
	if err == nil && len(files) > 0 {
		err = errors.New(c.Dir + " is not empty: name a new folder, so that nothing of yours is touched")
	}
	return dir, func() error { return nil }, err
}

func (c drillCommand) lead(ctx context.Context, t *terminal.Terminal, d *app.Drill) error {
	out := drilledJSON{Steps: []drilledStepJSON{}}
	steps := d.Steps()
	var total time.Duration
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for i, s := range steps {
		fmt.Fprintf(t.Err, "\nStep %d of %d. %s\n", i+1, len(steps), s.Text)
		for _, command := range s.Commands {
			// Without this terminal's settings, which would come before the file's, and be those of the real installation.
			fmt.Fprintf(t.Err, "  env -i %s --env-file %s %s\n", self, d.EnvFile, command)
		}
		if err := d.Lead(ctx, s, c.Auto); err != nil {
			return err
		}
		total += s.Took
		fmt.Fprintf(t.Err, "Done in %s.\n", s.Took.Round(time.Second))
		out.Steps = append(out.Steps, drilledStepJSON{s.Text, s.Commands, s.Took.Seconds()})
	}
	out.Seconds = total.Seconds()
	if c.JSON {
		return t.JSON(out)
	}
	lines := [][]string{{"STEP", "TOOK", "WHAT"}}
	for i, s := range steps {
		lines = append(lines, []string{fmt.Sprint(i + 1), s.Took.Round(time.Second).String(), s.Text})
	}
	if err := t.Table(lines); err != nil {
		return err
	}
	judged := "That is under 15 minutes: well done."
	if total > wellDone {
		judged = "More than 15 minutes: look which step took long, and do it again another day."
	}
	_, err = fmt.Fprintf(t.Out, "From the first word to the report: %s. %s\n", total.Round(time.Second), judged)
	return err
}
