package events

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type originCommand struct {
	New  bool `help:"Accept the log as it is now, and go on under a new origin."`
	Yes  bool `help:"Do it. Without it, the command only says what it would do."`
	JSON bool `name:"json" help:"Print JSON."`
}

func (originCommand) Help() string {
	return `Keep the public key and the newest checkpoint somewhere else: with both, nobody can rewrite the log unnoticed.

Start a new origin when the log contradicts what was signed, as it does after restoring a backup. Find out why first, with
gatehouse events verify. The first event of the new origin names the last checkpoint of the old one.

Example:
  gatehouse events origin`
}

// Run shows the origins, or begins one.
func (e originCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	c, _, err := t.Settings()
	if err != nil {
		return err
	}
	return t.Operator(ctx, func(o *operate.Operator) error {
		head, origins, list, err := o.LogHead(ctx, 1)
		if err != nil {
			return err
		}
		if e.New {
			if !e.Yes {
				_, err := fmt.Fprintf(t.Out, "This would accept the %s in the log as the whole log, whatever was signed before. Add --yes to do it.\n",
					terminal.Count(int(head.Size), "event"))
				return err
			}
			key, err := app.EventKey(c)
			if err != nil {
				return err
			}
			made, err := o.RestartLog(ctx, key, t.Origin())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(t.Out, "Started the origin %s with the key\n%s\n", made.Name, made.Verifier)
			return err
		}
		if e.JSON {
			return t.JSON(newOriginsJSON(head, origins, list))
		}
		if len(origins) == 0 {
			fmt.Fprintln(t.Err, "Nothing is signed yet: start the server first.")
			return nil
		}
		last := origins[len(origins)-1]
		fmt.Fprintf(t.Out, "origin  %s\nkey     %s\nsealed  %s\n", last.Name, last.Verifier, terminal.Count(int(head.Size), "event"))
		for _, c := range list {
			fmt.Fprintf(t.Out, "\nThe newest checkpoint, of %s:\n%s", terminal.Time(c.Time), c.Note)
		}
		return nil
	})
}

// originsJSON is how the log is signed, for programs.
type originsJSON struct {
	Size       int64        `json:"size"`
	Root       string       `json:"root"`
	Origins    []originJSON `json:"origins"`
	Checkpoint string       `json:"checkpoint,omitempty"`
}

type originJSON struct {
	Name  string    `json:"origin"`
	Key   string    `json:"key"`
	Size  int64     `json:"size"`
	Since time.Time `json:"since"`
}

func newOriginsJSON(h event.Head, origins []event.LogOrigin, list []event.Checkpoint) originsJSON {
	out := originsJSON{Size: h.Size, Root: h.Root.String(), Origins: []originJSON{}}
	for _, o := range origins {
		out.Origins = append(out.Origins, originJSON{o.Name, o.Verifier, o.Size, o.Time})
	}
	if len(list) > 0 {
		out.Checkpoint = list[0].Note
	}
	return out
}
