package main

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type eventsOrigin struct {
	New  bool `help:"Take the log as it is for the log from now on, under a new origin."`
	Yes  bool `help:"Do it. Without this it only says what it would do."`
	JSON bool `name:"json" help:"Print JSON."`
}

func (eventsOrigin) Help() string {
	return `Keep the public key and the newest checkpoint somewhere else: with both, nobody can rewrite the log unseen.

A new origin is for a log that contradicts what was signed, as after a restored backup. Find out why first: gatehouse events verify. The first event after it names the last checkpoint before it.

Example:
  gatehouse events origin`
}

// Run shows the origins, or begins one.
func (e eventsOrigin) Run(ctx context.Context, t *terminal) error {
	c, _, err := t.settings()
	if err != nil {
		return err
	}
	return t.operator(ctx, func(o *flow.Operator) error {
		head, origins, list, err := o.LogHead(ctx, 1)
		if err != nil {
			return err
		}
		if e.New {
			if !e.Yes {
				_, err := fmt.Fprintf(t.out, "This would take the %s in the log for the whole log, whatever was signed before. Say --yes to do it.\n", count(int(head.Size), "event"))
				return err
			}
			key, err := app.EventKey(c)
			if err != nil {
				return err
			}
			made, err := o.RestartLog(ctx, key, t.origin())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(t.out, "Began the origin %s with the key\n%s\n", made.Name, made.Verifier)
			return err
		}
		if e.JSON {
			return t.json(newOriginsJSON(head, origins, list))
		}
		if len(origins) == 0 {
			fmt.Fprintln(t.err, "Nothing is signed yet: start the server first.")
			return nil
		}
		last := origins[len(origins)-1]
		fmt.Fprintf(t.out, "origin  %s\nkey     %s\nsealed  %s\n", last.Name, last.Verifier, count(int(head.Size), "event"))
		for _, c := range list {
			fmt.Fprintf(t.out, "\nThe newest checkpoint, of %s:\n%s", day(c.Time), c.Note)
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
