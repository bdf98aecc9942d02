package retention

import (
	"context"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/ops/retention"
)

type statusCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (statusCommand) Help() string {
	return `Example:
  gatehouse retention status`
}

// holdJSON is a pause, for programs.
type holdJSON struct {
	SetAt  time.Time `json:"set_at"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
	By     string    `json:"by"`
}

// statusJSON is how retention stands, for programs.
type statusJSON struct {
	RanAt     *time.Time      `json:"ran_at"`
	Deleted   []event.Deleted `json:"deleted"`
	BegunAt   *time.Time      `json:"begun_at"`
	Paused    *holdJSON       `json:"paused"`
	WaitUntil *time.Time      `json:"waits_until"`
	Brake     string          `json:"brake,omitempty"`
	Failures  int             `json:"failures"`
	Error     string          `json:"error,omitempty"`
	Kept      []keptJSON      `json:"kept"`
}

// keptJSON is for how long one kind is kept.
type keptJSON struct {
	Kind string `json:"kind"`
	Line string `json:"line,omitempty"`
	Days int64  `json:"days"`
}

func tallyJSON(list []event.Deleted) []event.Deleted {
	if list == nil {
		return []event.Deleted{}
	}
	return list
}

// brakes say why no inactive account goes.
var brakes = map[string]string{
	"late": "No inactive account goes: that was last done over 30 days ago. Look at the clock.",
	"many": "No inactive account goes: more would within a day than one of a hundred. Look at gatehouse retention run --dry-run.",
}

// Run shows it.
func (s statusCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return keep(ctx, t, func(k *retention.Keeper) error {
		st, err := k.Standing(ctx)
		if err != nil {
			return err
		}
		if s.JSON {
			return t.JSON(newStatusJSON(st, k.Kinds))
		}
		switch {
		case st.Hold != nil:
			fmt.Fprintf(t.Out, "Paused until %s by %s: %s\n", terminal.Time(st.Hold.Until), st.Hold.By, st.Hold.Reason)
		case !st.Wait.IsZero():
			fmt.Fprintf(t.Out, "Waits until %s: the clock has leapt, or nothing has run for a day.\n", terminal.Time(st.Wait))
		}
		if st.Brake != "" {
			fmt.Fprintln(t.Out, brakes[st.Brake]+" gatehouse retention resume lets them go for a day.")
		}
		if st.Failures > 0 {
			fmt.Fprintf(t.Out, "The last %s failed: %s\n", terminal.Count(st.Failures, "run"), st.Error)
		}
		if st.Ran.IsZero() {
			fmt.Fprintln(t.Out, "It has not run yet.")
		} else {
			fmt.Fprintf(t.Out, "Last run: %s, %s deleted.\n", terminal.Time(st.Ran), terminal.Count(int(retention.Total(st.Deleted)), "row"))
		}
		lines := [][]string{{"KIND", "LINE", "KEPT", "LAST DELETED"}}
		for _, kind := range k.Kinds {
			n := int64(0)
			for _, d := range st.Deleted {
				if d.Kind == kind.Name {
					n = d.Count
				}
			}
			lines = append(lines, []string{kind.Name, kind.Line, terminal.Count(int(kind.Kept/(24*time.Hour)), "day"), fmt.Sprint(n)})
		}
		return t.Table(lines)
	})
}

func newStatusJSON(st retention.Standing, kinds []retention.Kind) statusJSON {
	out := statusJSON{
		RanAt: terminal.JSONTime(st.Ran), Deleted: tallyJSON(st.Deleted), BegunAt: terminal.JSONTime(st.Began), WaitUntil: terminal.JSONTime(st.Wait),
		Brake: st.Brake, Failures: st.Failures, Error: st.Error,
	}
	if h := st.Hold; h != nil {
		out.Paused = &holdJSON{h.Set, h.Until, h.Reason, h.By}
	}
	for _, kind := range kinds {
		out.Kept = append(out.Kept, keptJSON{kind.Name, kind.Line, int64(kind.Kept / (24 * time.Hour))})
	}
	return out
}
