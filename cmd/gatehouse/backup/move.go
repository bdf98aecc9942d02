package backup

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/ops/backup"
)

type moveCommand struct {
	To     string `placeholder:"URL" help:"Where to: sqlite:PATH, or the owner's postgres:// URL of an empty database."`
	ToFile string `placeholder:"PATH" help:"Read that URL from this file, so that its password is in no list of processes."`
	Abort  bool   `help:"Give up a move that was broken off: the old database takes changes again."`
	Never  bool   `name:"never-served" help:"With --abort: also where it says that it has moved. The new one is gone, and no server ever ran on it."`
	Yes    bool   `help:"Do it. Without it, the command only says what it would do."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

func (moveCommand) Help() string {
	return `From SQLite to PostgreSQL, back, or to a fresh file, with all sessions: nobody has to sign in again. The servers may run meanwhile. From the moment
when the copying begins they go on to check tokens, and answer what would change something with 503 and Retry-After; then start them
with the new DATABASE_URL. If it fails, the old database takes changes again. If it is killed, run it again: it goes on.
docs/guides/moving-to-postgresql.md goes through it.

Examples:
  gatehouse backup move --to-file new-database-url
  gatehouse backup move --to-file new-database-url --yes
  gatehouse backup move --abort`
}

// Run moves the installation, or says what that would do.
func (m moveCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	to, err := m.target()
	if err != nil {
		return err
	}
	c, _, err := t.Settings()
	if err != nil {
		return err
	}
	t.Warn(c)
	log, events := t.Logs(c)
	move, closeDB, err := app.OperatorMove(ctx, c, log, events, to)
	if err != nil {
		return err
	}
	move.By, move.To = operator(t), shown(to)
	return errors.Join(m.do(ctx, t, c, move), closeDB())
}

// target returns the URL of the new database.
func (m moveCommand) target() (string, error) {
	if m.Abort {
		return "", nil
	}
	if m.Never {
		return "", terminal.UsageError("--never-served goes with --abort")
	}
	if (m.To == "") == (m.ToFile == "") {
		return "", terminal.UsageError("say where to, by one of --to and --to-file")
	}
	if m.To != "" {
		return m.To, nil
	}
	text, err := os.ReadFile(m.ToFile)
	return strings.TrimSpace(string(text)), err
}

// shown is the URL without what is secret in it, the same from wherever the command is run: the old database keeps it.
func shown(to string) string {
	if path, ok := strings.CutPrefix(to, "sqlite:"); ok {
		if whole, err := filepath.Abs(path); err == nil {
			path = whole
		}
		return "sqlite:" + path
	}
	u, err := url.Parse(to)
	if err != nil {
		return "PostgreSQL"
	}
	host := u.Host
	if host == "" { // a socket's folder
		host = u.Query().Get("host")
	}
	return "postgres://" + host + u.Path
}

func (m moveCommand) do(ctx context.Context, t *terminal.Terminal, c *config.Config, move *backup.Move) error {
	if m.Abort {
		err := move.Abort(ctx, m.Never)
		if err == nil {
			fmt.Fprintln(t.Out, "The database takes changes again. What was copied so far is of no use: drop that database, or delete that file.")
		}
		return err
	}
	if !m.Yes {
		n, err := move.Look(ctx)
		if err == nil && m.JSON {
			return t.JSON(wouldMoveJSON{move.To, n.Accounts, n.Sessions, n.Events, n.Rows})
		}
		if err == nil {
			fmt.Fprintf(t.Out, "This would move %d accounts, %d sessions and %d events to %s: %d rows in all. While they are copied, the servers answer what would "+
				"change something with 503; nobody has to sign in again. Add --yes to do it.\n", n.Accounts, n.Sessions, n.Events, move.To, n.Rows)
		}
		return err
	}
	bar := t.NewProgress(m.JSON)
	move.Progress = func(p backup.Progress) { bar.Rows(p.Step, p.Done, p.Of) }
	out, err := move.Run(ctx)
	bar.End()
	if err != nil {
		return err
	}
	return m.print(t, c, move.To, out)
}

// wouldMoveJSON is what there is to move, for programs.
type wouldMoveJSON struct {
	To       string `json:"to"`
	Accounts int64  `json:"accounts"`
	Sessions int64  `json:"sessions"`
	Events   int64  `json:"events"`
	Rows     int64  `json:"rows"`
}

// movedJSON is how a move went, for programs.
type movedJSON struct {
	To       string  `json:"to"`
	Accounts int64   `json:"accounts"`
	Sessions int64   `json:"sessions"`
	Events   int64   `json:"events"`
	Rows     int64   `json:"rows"`
	Seconds  float64 `json:"seconds_without_changes"`
	Intact   bool    `json:"log_intact"`
}

func (m moveCommand) print(t *terminal.Terminal, c *config.Config, to string, out *backup.Moved) error {
	intact := len(out.Log.Findings) == 0
	if m.JSON {
		return t.JSON(movedJSON{to, out.Accounts, out.Sessions, out.Events, out.Rows, out.Fenced.Seconds(), intact})
	}
	fmt.Fprintf(t.Out, "Moved %d accounts, %d sessions and %d events to %s. For %s nothing could be changed.\n",
		out.Accounts, out.Sessions, out.Events, to, out.Fenced.Round(time.Second))
	for _, f := range out.Log.Findings {
		fmt.Fprintf(t.Out, "The event log was not intact before: %s: %s\n", f.What, f.Text)
	}
	fmt.Fprintln(t.Out, "Now set DATABASE_URL to the new database, and start the servers anew: until then they change nothing.")
	if c.JWTSecretKey == "" {
		fmt.Fprintf(t.Out, "The secrets stay in %s: set JWT_SECRET_KEY_FILE and EVENT_KEY_FILE to jwt_secret_key and event_key there.\n", c.DataDir())
	}
	return nil
}
