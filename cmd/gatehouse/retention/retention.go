// Package retention is gatehouse retention: what is deleted for its age, one file a command.
package retention

import (
	"context"
	"errors"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/ops/retention"
)

// Command is gatehouse retention.
type Command struct {
	Run    runCommand    `cmd:"" help:"Delete what is kept long enough, or say what that would be."`
	Pause  pauseCommand  `cmd:"" help:"Delete nothing for its age, and erase nobody, until a time."`
	Resume resumeCommand `cmd:"" help:"End a pause, or say that the clock is right."`
	Status statusCommand `cmd:"" help:"Show when it last ran, what that deleted, and what holds it."`
}

// Help implements kong.HelpProvider.
func (Command) Help() string {
	return `The server deletes what is kept long enough by itself, each hour: see RETENTION_LOGIN_LOGS and the settings beside it, and
docs/guides/retention.md.

Example:
  gatehouse retention run --dry-run`
}

// keep opens the database and what deletes there, for one command.
func keep(ctx context.Context, t *terminal.Terminal, do func(k *retention.Keeper) error) error {
	c, _, err := t.Settings()
	if err != nil {
		return err
	}
	t.Warn(c)
	log, events := t.Logs(c)
	k, done, err := app.OperatorRetention(ctx, c, log, events)
	if err != nil {
		return err
	}
	return errors.Join(do(k), done())
}

// operator is on whose behalf a command does something.
func operator(t *terminal.Terminal) retention.By {
	return retention.By{Who: "operator", Origin: t.Origin()}
}
