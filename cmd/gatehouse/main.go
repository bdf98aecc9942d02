// Gatehouse is an authentication server. This is its command line: one file a
// command, each of which says in --help what it does, with an example.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/alecthomas/kong"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1  // it did not work, or found something
	exitUsage  = 2  // the words of the command are wrong
	exitConfig = 78 // the settings are unsafe or broken (EX_CONFIG of sysexits.h)
)

// commands is the whole command line.
type commands struct {
	EnvFile string `name:"env-file" placeholder:"PATH" help:"Read settings from this file instead of .env in the working directory."`

	Serve   serveCommand   `cmd:"" help:"Run the server."`
	Migrate migrateCommand `cmd:"" help:"Bring the database's schema up to date."`
	Secret  secretCommand  `cmd:"" help:"Print a fresh secret, for JWT_SECRET_KEY."`
	Config  configCommand  `cmd:"" help:"Show the settings in force and where each came from."`
	User    userCommand    `cmd:"" help:"Create, list, show, disable, enable and verify accounts, and give them roles."`
	Session sessionCommand `cmd:"" help:"List and end sessions."`
	Key     keyCommand     `cmd:"" help:"List, rotate and revoke the keys of the installation."`
	Client  clientCommand  `cmd:"" help:"Register applications, list them, rotate their secrets and delete them."`
	Events  eventsCommand  `cmd:"" help:"List, follow, verify and export the log of security events."`
	Block   blockCommand   `cmd:"" help:"Refuse the requests of networks, list them, and end that."`
	Mail    mailCommand    `cmd:"" help:"List the mails that wait or were given up, send them again, and try the mail server."`
	Alert   alertCommand   `cmd:"" help:"List, test and silence alerts."`
	Breach  breachCommand  `cmd:"" help:"Build the filter of breached passwords, and ask it."`
	Bench   benchCommand   `cmd:"" help:"Put a load on a server and measure its answers."`
	Health  healthCommand  `cmd:"" help:"Ask the server that runs here whether it is healthy, for a container's probes."`
	Nginx   nginxCommand   `cmd:"" help:"Print a server block for an nginx in front of the server."`
	Version versionCommand `cmd:"" help:"Print the version."`

	Completion completionCommand `cmd:"" help:"Print a script that completes commands and flags in bash, zsh or fish."`
}

func main() {
	time.Local = time.UTC // of every line that is logged, wherever the machine stands (ASVS 16.2.2)
	makePrivate()
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

func run(args []string, in *os.File, out, errs io.Writer) int {
	var c commands
	done := -1 // set when help was printed
	parser := newParser(&c, kong.Writers(out, errs), kong.Exit(func(code int) { done = code }))
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if done >= 0 {
		return done
	}
	if err != nil {
		fmt.Fprintf(errs, "gatehouse: %v\nSee: %s --help\n", err, commandOf(err))
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Who presses ^C again does not want to wait for what is being finished. A
	// second SIGTERM means nothing: some supervisors send two.
	context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt) })
	t := &terminal{in: in, out: out, err: errs, envFile: c.EnvFile, command: parsed.Selected().FullPath()}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return t.report(parsed.Run(t))
}

func newParser(c *commands, options ...kong.Option) *kong.Kong {
	return kong.Must(c, append(options,
		kong.Name("gatehouse"),
		kong.Description("An authentication server that is safe by default.\n\nStart with: gatehouse serve"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)...)
}

// commandOf returns as much of the command as could be understood.
func commandOf(err error) string {
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context.Selected() != nil {
		return wrong.Context.Selected().FullPath()
	}
	return "gatehouse"
}

// report prints an error, with how to mend it, and returns the exit code.
func (t *terminal) report(err error) int {
	var (
		faults *config.Faults
		wrong  usageError
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &faults):
		fmt.Fprintf(t.err, "%v\n", faults)
		return exitConfig
	case errors.As(err, &wrong):
		fmt.Fprintf(t.err, "gatehouse: %v\nSee: %s --help\n", err, t.command)
		return exitUsage
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(t.err, "gatehouse: interrupted")
		return exitFailed
	}
	f := fault.As(err)
	if f == nil {
		fmt.Fprintf(t.err, "gatehouse: %v\n", err)
		return exitFailed
	}
	code := exitFailed
	if configCodes[f.Code] {
		code = exitConfig
	}
	said := f.Because(nil).Error()
	if f.Code == "database_unavailable" {
		// The fault's own words are for those who sign in.
		if text, lasting := db.Explain(f.Err); text != "" {
			said = text
			if lasting {
				code = exitConfig
			}
		}
	}
	fmt.Fprintf(t.err, "gatehouse: %v\n", said)
	if f.Err != nil {
		fmt.Fprintf(t.err, "cause: %v\n", f.Err)
	}
	return code
}

// configCodes are the faults that a change of the settings alone mends, or one of
// what they name: no later try will do better.
var configCodes = map[string]bool{
	"wrong_secret": true, "wrong_pepper": true, "database_url": true, "database_unsafe": true,
	"secret_exposed": true, "weak_certificate": true, "encrypted_key": true,
	"wrong_encoding": true, "database_read_only": true, "another_database": true, "not_a_database": true,
}

// usageError is a command whose words can't be taken.
type usageError string

func (e usageError) Error() string { return string(e) }

// settings reads the settings. The log it returns is for the lines that belong
// to the server's log.
func (t *terminal) settings() (*config.Config, *slog.Logger, error) {
	c, err := config.Load(config.Source{Environ: os.Environ(), EnvFile: t.envFile})
	if err != nil {
		return nil, nil, err
	}
	t.people = t.forPeople(c.Production())
	return c, t.log(c.LogLevel), nil
}

// log writes for people in a terminal where that is development's, else JSON.
func (t *terminal) log(level slog.Level) *slog.Logger {
	out := t.lines
	if out == nil {
		out = t.err
	}
	if t.people {
		return slog.New(newPeopleLog(out, level))
	}
	return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level}))
}

// warn tells what the operator should know of the settings.
func (t *terminal) warn(c *config.Config) {
	for _, w := range c.Warnings {
		fmt.Fprintf(t.err, "warning: %s\n", w)
	}
}

// origin is where the events of a command come from.
func (t *terminal) origin() event.Origin {
	return event.Origin{RequestID: secret.Random{}.ID(now()), UserAgent: t.command, Actor: operatorName()}
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
