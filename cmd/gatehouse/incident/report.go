package incident

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

type reportCommand struct {
	Incident string `arg:"" help:"Its name: INC-1."`
	Format   string `default:"markdown" enum:"markdown,html" help:"markdown or html."`
	Draft    string `placeholder:"WHOM" help:"Instead, the draft of a notice: authority (GDPR, article 33) or people (article 34)."`
}

func (reportCommand) Help() string {
	return `It goes to standard output. It names no person but who acted. In a draft, what only you know stands in brackets.

Examples:
  gatehouse incident report INC-1 --format html >INC-1.html
  gatehouse incident report INC-1 --draft authority`
}

// Run writes the report, or a draft.
func (c reportCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	draft := respond.Draft(c.Draft)
	if draft != "" && draft != respond.ToAuthority && draft != respond.ToPeople {
		return terminal.UsageError("--draft: it is for the authority or for people.")
	}
	settings, _, err := t.Settings()
	if err != nil {
		return err
	}
	return one(ctx, t, c.Incident, func(d *respond.Desk, n int64) error {
		s, err := d.Show(ctx, n)
		if err != nil {
			return err
		}
		r := d.Report(s, settings.ServiceName)
		switch {
		case draft != "":
			return r.WriteDraft(t.Out, draft)
		case c.Format == "html":
			return r.HTML(t.Out)
		}
		return r.Markdown(t.Out)
	})
}
