package events

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type showCommand struct {
	ID   string `arg:"" help:"The event's id."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (showCommand) Help() string {
	return "Example:\n  gatehouse events show 0198c0de-0000-7000-8000-000000000001"
}

// Run shows the event.
func (e showCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		s, err := o.Event(ctx, e.ID)
		if err != nil {
			return err
		}
		if e.JSON {
			return t.JSON(struct {
				event.Line
				Leaf  *int64   `json:"leaf"`
				Hash  string   `json:"hash,omitempty"`
				Proof []string `json:"proof,omitempty"`
				Size  int64    `json:"log_size"`
				Root  string   `json:"log_root"`
			}{s.Line(), leafOf(s), hashOf(s), proofOf(s), s.Head.Size, s.Head.Root.String()})
		}
		lines := [][]string{
			{"id", s.ID}, {"time", s.Time.UTC().Format(time.RFC3339Nano)}, {"event", string(s.Kind)}, {"outcome", string(s.Outcome)},
			{"account", s.Account}, {"session", s.Session}, {"address", s.Address},
			{"device", fmt.Sprintf("%q", s.UserAgent)}, {"request", fmt.Sprintf("%q", s.RequestID)},
		}
		detail, err := json.Marshal(s.Detail)
		if err != nil {
			return err
		}
		if string(detail) != "{}" {
			lines = append(lines, []string{"detail", string(detail)})
		}
		if s.Leaf < 0 {
			lines = append(lines, []string{"sealed", "not yet"})
		} else {
			lines = append(lines, []string{"sealed", fmt.Sprintf("leaf %d of %d, with a proof of %d hashes (--json)", s.Leaf, s.Head.Size, len(s.Proof))})
		}
		return t.Table(lines)
	})
}

func leafOf(s event.Sealed) *int64 {
	if s.Leaf < 0 {
		return nil
	}
	return &s.Leaf
}

func hashOf(s event.Sealed) string {
	if s.Leaf < 0 {
		return ""
	}
	return s.Hash.String()
}

func proofOf(s event.Sealed) (out []string) {
	for _, h := range s.Proof {
		out = append(out, h.String())
	}
	return out
}
