package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/breach"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
)

type breachCommand struct {
	Build breachBuild `cmd:"" help:"Build a filter from the Pwned Passwords corpus, for PASSWORD_BREACH=file."`
	Check breachCheck `cmd:"" help:"Check whether a password is common or has been in a breach."`
}

func (breachCommand) Help() string {
	return `The corpus is the SHA-1 download of https://haveibeenpwned.com/Passwords, ordered by hash: a single file, or a folder with one file
per range, as the official downloader writes it.

Example:
  gatehouse breach build --output pwned.filter pwned-passwords-sha1-ordered-by-hash.txt`
}

type breachBuild struct {
	Corpus []string `arg:"" optional:"" help:"Files in hash order, or a folder with one file per range. Without it, standard input is read."`
	Output string   `required:"" placeholder:"PATH" help:"Where to write the filter. A running server that uses it picks it up within seconds."`
	Bits   int      `default:"16" enum:"8,16,32" help:"Fingerprint size: 1 in 2^bits false positives, at 1.1, 2.3 or 4.6 bytes per entry (${default})."`
	Fresh  bool     `help:"Start over, even if an interrupted build could be resumed."`
}

func (breachBuild) Help() string {
	return `It needs less than 100 MB of memory, however large the corpus is. If it is interrupted, run the same command again to resume. The file
is moved into place once it is complete. A password that is not in the corpus is mistaken for one that is once in 2^8, 2^16 or 2^32.

Examples:
  gatehouse breach build --output pwned.filter pwned-passwords-sha1-ordered-by-hash.txt
  7z x -so pwned.7z | gatehouse breach build --output pwned.filter`
}

// Run builds the filter.
func (b breachBuild) Run(ctx context.Context, t *terminal.Terminal) error {
	if len(b.Corpus) == 0 && terminal.IsTerminal(t.In) {
		return terminal.UsageError("Name the corpus, or pipe it to standard input.")
	}
	debug.SetGCPercent(25) // little memory matters more here than a second
	began := time.Now()
	bar := &progressBar{t: t, began: began}
	n, err := breach.Build(ctx, breach.Plan{
		Corpus: breach.Corpus{Names: b.Corpus, In: t.In}, Path: b.Output, Bits: b.Bits, Fresh: b.Fresh, Progress: bar.show,
	})
	bar.end()
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(t.Err, "Run the same command again to resume.")
		return err
	case err != nil:
		return err
	}
	file, err := os.Stat(b.Output)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.Out, "%s has %d hashes in %d bytes (%.2f each), built in %s. Use it with:\nPASSWORD_BREACH=file\nPASSWORD_BREACH_FILE=%s\n",
		b.Output, n, file.Size(), float64(file.Size())/float64(n), time.Since(began).Round(time.Second), b.Output)
	return err
}

// progressBar shows how far a build is: to a person each tenth of a second, to a
// log each tenth of the way.
type progressBar struct {
	t     *terminal.Terminal
	began time.Time
	last  time.Time
	shown int // tenths, in a log
	drawn bool
}

func (p *progressBar) show(entries uint64, done float64) {
	const width = 30
	if !terminal.IsTerminal(p.t.Err) {
		if tenth := int(done * 10); tenth > p.shown {
			p.shown = tenth
			fmt.Fprintf(p.t.Err, "%d%%: %d hashes\n", tenth*10, entries)
		}
		return
	}
	at := time.Now()
	if at.Sub(p.last) < 100*time.Millisecond && done < 1 {
		return
	}
	p.last = at
	full := int(done * width)
	left := ""
	if took := p.last.Sub(p.began); done > 0.01 && done < 1 {
		left = fmt.Sprintf(", %s left", time.Duration(float64(took)*(1-done)/done).Round(time.Second))
	}
	fmt.Fprintf(p.t.Err, "\r[%s%s] %3.0f%%  %d hashes%s\x1b[K", strings.Repeat("=", full), strings.Repeat(" ", width-full), done*100, entries, left)
	p.drawn = true
}

func (p *progressBar) end() {
	if p.drawn {
		fmt.Fprintln(p.t.Err)
	}
}

type breachCheck struct {
	PasswordFile string `placeholder:"PATH" help:"Read the password from this file; - is standard input. Without it, you are prompted for the password."`
	File         string `placeholder:"PATH" help:"Check against this filter instead of the one that PASSWORD_BREACH selects."`
}

func (breachCheck) Help() string {
	return `Exits with 1 if the password is known and 0 if it is not. The password is never a command-line argument, which other users of this
machine could see.

Example:
  gatehouse breach check --file pwned.filter`
}

// errKnown is for a password that was found.
var errKnown = errors.New("this password is common, or has been in a breach")

// Run asks.
func (b breachCheck) Run(ctx context.Context, t *terminal.Terminal) error {
	pass, given, err := t.GivenPassword(b.PasswordFile)
	if err == nil && !given {
		pass, err = t.Ask(ctx, "Password: ")
	}
	if err != nil {
		return err
	}
	known, err := b.ask(ctx, t, pass)
	if err == nil && known {
		err = errKnown
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(t.Out, "This password is not in the list.")
	return err
}

// ask holds the password against the filter that is named, or against what the
// settings name.
func (b breachCheck) ask(ctx context.Context, t *terminal.Terminal, pass string) (known bool, err error) {
	c, log, err := t.Settings()
	if err != nil {
		return false, err
	}
	if b.File != "" {
		c.PasswordBreach, c.PasswordBreachFile = config.BreachFile, b.File
	}
	if c.PasswordBreach == config.BreachOff {
		c.PasswordBreach = config.BreachEmbedded
	}
	c.PasswordBreachAway = config.BreachAwayRefuse // an answer that was not given is none
	breaches, done, err := app.OpenBreaches(c, log, time.Now)
	if err != nil {
		return false, err
	}
	known, err = breaches.Breached(ctx, password.Normalize(pass))
	return known, errors.Join(err, done())
}
