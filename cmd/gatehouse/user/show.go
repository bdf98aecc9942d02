package user

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/session"
	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type showCommand struct {
	User string `arg:"" help:"Its id or email address."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (showCommand) Help() string { return "Example:\n  gatehouse user show ada@example.org" }

// consentJSON is a consent for programs.
type consentJSON struct {
	Document    string `json:"document"`
	Version     int64  `json:"version"`
	Hash        string `json:"hash"`
	How         string `json:"how"`
	GivenAt     string `json:"given_at"`
	WithdrawnAt string `json:"withdrawn_at,omitempty"`
}

func newConsentsJSON(list []consent.Consent) []consentJSON {
	out := make([]consentJSON, 0, len(list))
	for _, c := range list {
		one := consentJSON{c.Document, c.Version, hex.EncodeToString(c.Hash), string(c.How), terminal.Time(c.GivenAt), ""}
		if !c.WithdrawnAt.IsZero() {
			one.WithdrawnAt = terminal.Time(c.WithdrawnAt)
		}
		out = append(out, one)
	}
	return out
}

// Run shows the account.
func (u showCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		a, err := o.User(ctx, u.User)
		if err != nil {
			return err
		}
		sessions, err := o.Sessions(ctx, a.ID)
		if err != nil {
			return err
		}
		due, err := o.ErasureOf(ctx, a.ID)
		if err != nil {
			return err
		}
		consents, err := o.Consents(ctx, a.ID)
		if err != nil {
			return err
		}
		if u.JSON {
			return t.JSON(struct {
				accountJSON
				EraseAt  *time.Time     `json:"erase_at"`
				Sessions []session.JSON `json:"sessions"`
				Consents []consentJSON  `json:"consents"`
			}{newAccountJSON(a), terminal.JSONTime(due.At), session.NewJSON(sessions), newConsentsJSON(consents)})
		}
		rows := [][]string{
			{"id", a.ID}, {"email", a.Email}, {"name", a.Name}, {"locale", a.Locale}, {"state", state(a)},
			{"roles", strings.Join(a.Roles, ",")}, {"created", terminal.Time(a.CreatedAt)}, {"verified", terminal.Time(a.VerifiedAt)},
			{"disabled", terminal.Time(a.DisabledAt)}, {"signed in", terminal.Time(a.SignedInAt)},
			{"deleted on", terminal.Time(due.At)}, {"sessions", fmt.Sprint(len(sessions))},
		}
		for _, c := range newConsentsJSON(consents) {
			said := fmt.Sprintf("version %d, agreed %s", c.Version, c.GivenAt)
			if c.WithdrawnAt != "" {
				said += ", withdrawn " + c.WithdrawnAt
			}
			rows = append(rows, []string{"document " + c.Document, said})
		}
		return t.Table(rows)
	})
}
