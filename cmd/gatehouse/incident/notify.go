package incident

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/ops/respond"
)

type notifyCommand struct {
	Incident string `arg:"" help:"Its name: INC-1."`
	Text     string `required:"" placeholder:"FILE" help:"The file with what you have to say, reviewed; - is standard input. Empty lines make paragraphs."`
	Rate     int64  `default:"1000" help:"How many mails go out in an hour."`
	Reason   string `help:"Why: it goes into the event log. With --yes it is asked for."`
	Yes      bool   `help:"Send it. Without it, the command only says to how many it would go."`
}

func (notifyCommand) Help() string {
	return `It goes to all whom the incident touches, as actions and saved scopes say, and whom no earlier notice has reached or is to reach; each gets it in a
mail in their language, around your words. What is over the rate a running server queues later. Said again without --yes, it counts what was delivered.

Example:
  gatehouse incident notify INC-1 --text notice.txt --yes --reason "Reviewed by the data protection officer"`
}

// mostNotice is how large the file may be, in bytes.
const mostNotice = 64 << 10

func (c notifyCommand) read(t *terminal.Terminal) (string, error) {
	var in io.Reader = t.In
	if c.Text != "-" {
		f, err := os.Open(c.Text)
		if err != nil {
			return "", fmt.Errorf("the text can't be read: %w", err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, mostNotice))
	return string(b), err
}

// Run notifies, or says whom it would.
func (c notifyCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	text, err := c.read(t)
	if err != nil {
		return err
	}
	in := respond.Notice{Text: text, Rate: c.Rate, Why: c.Reason}
	return one(ctx, t, c.Incident, func(d *respond.Desk, n int64) error {
		if !c.Yes {
			says, s, err := d.NoticePreview(ctx, n, in)
			if err != nil {
				return err
			}
			fmt.Fprintf(t.Out, "%s\n\nThis would go to %s, %d an hour at most. Of earlier notices %d were delivered, %d wait, %d were given up.\n",
				says, terminal.Plural(s.Left, "person", "people"), c.Rate, s.Sent, s.Waiting, s.Dead)
			if s.Going > 0 {
				fmt.Fprintf(t.Out, "A notice that is going out is to reach %d more.\n", s.Going)
			}
			_, err = fmt.Fprintln(t.Out, "Nothing was sent. Add --yes and --reason to send it.")
			return err
		}
		a, err := d.Notify(ctx, n, in, operator(t))
		if err != nil {
			return err
		}
		fmt.Fprintf(t.Out, "%s so far.\n", respond.Touched(a.Touched))
		if a.EndedAt.IsZero() {
			fmt.Fprintln(t.Err, "A running server queues the others, at the rate.")
		}
		return nil
	})
}
