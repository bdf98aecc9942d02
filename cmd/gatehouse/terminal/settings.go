package terminal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Settings reads the settings. The log it returns is for the lines that belong
// to the server's log.
func (t *Terminal) Settings() (*config.Config, *slog.Logger, error) {
	c, err := config.Load(config.Source{Environ: os.Environ(), EnvFile: t.EnvFile})
	if err != nil {
		return nil, nil, err
	}
	t.people = t.forPeople(c.Production())
	return c, t.log(c.LogLevel), nil
}

// log writes for people in a terminal where that is development's, else JSON.
func (t *Terminal) log(level slog.Level) *slog.Logger {
	out := t.lines
	if out == nil {
		out = t.Err
	}
	if t.people {
		return slog.New(newPeopleLog(out, level))
	}
	return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level}))
}

// Warn prints what the operator should know about the settings.
func (t *Terminal) Warn(c *config.Config) {
	for _, w := range c.Warnings {
		fmt.Fprintf(t.Err, "warning: %s\n", w)
	}
}

// Operator opens the database for one command and closes it after.
func (t *Terminal) Operator(ctx context.Context, do func(*operate.Operator) error) error {
	c, err := t.warned()
	if err != nil {
		return err
	}
	first := false
	if c.Database.Kind == config.SQLite {
		_, err := os.Stat(c.Database.Path)
		first = errors.Is(err, fs.ErrNotExist)
	}
	log, events := t.Logs(c)
	o, closeDB, err := app.Operator(ctx, c, log, events)
	if err != nil {
		return err
	}
	if first {
		fmt.Fprintf(t.Err, "note: There was no database at %s, so a new one was made.\n", c.Database.Path)
	}
	return errors.Join(do(o), closeDB())
}

// Keys opens the database and the keys for one command, and closes them after.
func (t *Terminal) Keys(ctx context.Context, do func(*operate.Keys) error) error {
	c, err := t.warned()
	if err != nil {
		return err
	}
	log, events := t.Logs(c)
	k, closeDB, err := app.OperatorKeys(ctx, c, log, events)
	if err != nil {
		return err
	}
	return errors.Join(do(k), closeDB())
}

// warned reads the settings and prints their warnings.
func (t *Terminal) warned() (*config.Config, error) {
	c, _, err := t.Settings()
	if err == nil {
		t.Warn(c)
	}
	return c, err
}

// Logs are the log of a command that opens the database, and the one that its security
// events go to. A person at a terminal sees neither: the command itself says what it
// did, and the events are in the database either way.
func (t *Terminal) Logs(c *config.Config) (log, events *slog.Logger) {
	if IsTerminal(t.Err) {
		return t.log(max(c.LogLevel, slog.LevelWarn)), slog.New(slog.DiscardHandler)
	}
	log = t.log(c.LogLevel)
	return log, log
}

// Origin is where the events of a command come from.
func (t *Terminal) Origin() event.Origin {
	return event.Origin{RequestID: secret.Random{}.ID(time.Now()), UserAgent: t.Command, Actor: operatorName()}
}

// operatorName says who runs the command and where, such as "ada@db1", or "root@db1
// (sudo by ada)". It is what the system says, which root can make it say.
func operatorName() string {
	name := "uid " + strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	if by := os.Getenv("SUDO_USER"); by != "" {
		name += " (sudo by " + by + ")"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, name[:min(len(name), 200)])
}
