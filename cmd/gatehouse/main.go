// Gatehouse is an authentication server. This is its command line: one file per
// command, and a folder for each noun that has more than two. Every command says in
// --help what it does, with an example.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/backup"
	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/bench"
	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/events"
	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/incident"
	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/retention"
	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/session"
	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/user"
	"github.com/gatehouse-auth/gatehouse/internal/ops/importing"
)

// commands is the whole command line.
type commands struct {
	EnvFile string `name:"env-file" placeholder:"PATH" help:"Read settings from this file instead of .env in the working directory."`

	Serve    serveCommand    `cmd:"" help:"Run the server."`
	Migrate  migrateCommand  `cmd:"" help:"Bring the database schema up to date."`
	Secret   secretCommand   `cmd:"" help:"Print a fresh secret for JWT_SECRET_KEY."`
	Config   configCommand   `cmd:"" help:"Show the effective settings and where each one comes from."`
	User     user.Command    `cmd:"" help:"Create, list, show, disable, enable and verify accounts, and manage their roles."`
	Session  session.Command `cmd:"" help:"List and end sessions."`
	Key      keyCommand      `cmd:"" help:"List, rotate and revoke the installation's keys."`
	Client   clientCommand   `cmd:"" help:"Register, list and delete applications, and rotate their secrets."`
	Upstream upstreamCommand `cmd:"" help:"List and check the other providers by which people sign in."`
	Resource resourceCommand `cmd:"" help:"Register the APIs that applications ask access tokens for."`
	Events   events.Command  `cmd:"" help:"List, follow, verify and export the security event log."`
	Block    blockCommand    `cmd:"" help:"Block networks, list the blocked ones, and unblock them."`
	Document documentCommand `cmd:"" help:"List documents that people agree to, and print their versions."`
	Backup   backup.Command  `cmd:"" help:"Make encrypted backups, and verify, prove and restore them."`

	Incident  incident.Command  `cmd:"" help:"Respond to an incident: open, contain, scope, freeze, notify, report."`
	Retention retention.Command `cmd:"" help:"Delete what is kept long enough, and pause that."`
	Mail      mailCommand       `cmd:"" help:"List queued and failed mails, retry them, and test the mail server."`
	Alert     alertCommand      `cmd:"" help:"List, test and silence alerts."`
	Breach    breachCommand     `cmd:"" help:"Build a filter of breached passwords, and check passwords against it."`
	Bench     bench.Command     `cmd:"" help:"Load a server, and find out what it carries."`
	Doctor    doctorCommand     `cmd:"" help:"Check the deployment: settings, database, keys, jobs, administrators."`
	Health    healthCommand     `cmd:"" help:"Check the health of the server running on this machine, for container probes."`
	Nginx     nginxCommand      `cmd:"" help:"Print an nginx server block to put in front of Gatehouse."`
	Docs      docsCommand       `cmd:"" help:"Serve the documentation on this machine, or write it as a site."`
	Version   versionCommand    `cmd:"" help:"Print the version."`

	Completion completionCommand `cmd:"" help:"Print a completion script for bash, zsh or fish."`
	Man        manCommand        `cmd:"" help:"Print a manual page."`
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
		return terminal.ExitUsage
	}
	ctx, stop := untilSignal()
	defer stop()
	t := &terminal.Terminal{In: in, Out: out, Err: errs, EnvFile: c.EnvFile, Command: parsed.Selected().FullPath(), Version: version()}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return t.Report(parsed.Run(t))
}

// untilSignal returns a context that ends with the first SIGTERM or ^C. Who presses ^C
// again does not want to wait for what is being finished: from before the context ends it
// ends the process. A second SIGTERM means nothing: some supervisors send two.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			signal.Reset(os.Interrupt)
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel() }
}

func newParser(c *commands, options ...kong.Option) *kong.Kong {
	return kong.Must(c, append(options,
		kong.Name("gatehouse"),
		kong.Description("An authentication server that is safe by default.\n\nStart with: gatehouse serve"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"import_systems": strings.Join(importing.Systems(), ",")},
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
