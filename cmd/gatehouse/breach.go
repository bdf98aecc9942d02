package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/breach"
	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/password"
)

type breachCommand struct {
	Build breachBuild `cmd:"" help:"Build a filter of the Pwned Passwords, for PASSWORD_BREACH=file."`
	Check breachCheck `cmd:"" help:"Tell whether a password is common or has been in a breach."`
}

func (breachCommand) Help() string {
	return `The corpus is the SHA-1 download of https://haveibeenpwned.com/Passwords, ordered by hash: one file, or a folder with a file for each range, as its downloader makes them.

Example:
  gatehouse breach build --output pwned.filter pwned-passwords-sha1-ordered-by-hash.txt`
}

type breachBuild struct {
	Corpus []string `arg:"" optional:"" help:"Files in the order of their hashes, or a folder with a file for each range. Without any, standard input."`
	Output string   `required:"" placeholder:"PATH" help:"Where to put the filter. A server that uses it takes it within seconds."`
	Bits   int      `default:"16" enum:"8,16,32" help:"The size of a fingerprint: of the passwords that are not in the corpus one in 2^8, 2^16 or 2^32 is taken for one that is. It takes 1.1, 2.3 or 4.6 bytes an entry."`
	Fresh  bool     `help:"Start over, even if an interrupted build could be resumed."`
}

func (breachBuild) Help() string {
	return `It needs under 100 MB of memory, however large the corpus is. If it is interrupted, the same command goes on where it was. The file is put in its place when it is whole.

Examples:
  gatehouse breach build --output pwned.filter pwned-passwords-sha1-ordered-by-hash.txt
  7z x -so pwned.7z | gatehouse breach build --output pwned.filter`
}

// Run builds the filter.
func (b breachBuild) Run(ctx context.Context, t *terminal) error {
	if len(b.Corpus) == 0 && isTerminal(t.in) {
		return usageError("Name the corpus, or send it to standard input.")
	}
	debug.SetGCPercent(25) // little memory matters more here than a second
	began := now()
	bar := &progressBar{t: t, began: began}
	n, err := breach.Build(ctx, breach.Plan{
		Corpus: breach.Corpus{Names: b.Corpus, In: t.in}, Path: b.Output, Bits: b.Bits, Fresh: b.Fresh, Progress: bar.show,
	})
	bar.end()
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(t.err, "Run the same command again to go on where it was.")
		return err
	case err != nil:
		return err
	}
	file, err := os.Stat(b.Output)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "%s has %d hashes in %d bytes (%.2f each), built in %s. Use it with:\nPASSWORD_BREACH=file\nPASSWORD_BREACH_FILE=%s\n",
		b.Output, n, file.Size(), float64(file.Size())/float64(n), now().Sub(began).Round(time.Second), b.Output)
	return err
}

// progressBar tells how far a build is: to a person each tenth of a second, to a
// log each tenth of the way.
type progressBar struct {
	t     *terminal
	began time.Time
	last  time.Time
	told  int
	drawn bool
}

func (p *progressBar) show(entries uint64, done float64) {
	const width = 30
	if !isTerminal(p.t.err) {
		if tenth := int(done * 10); tenth > p.told {
			p.told = tenth
			fmt.Fprintf(p.t.err, "%d%%: %d hashes\n", tenth*10, entries)
		}
		return
	}
	at := now()
	if at.Sub(p.last) < 100*time.Millisecond && done < 1 {
		return
	}
	p.last = at
	full := int(done * width)
	left := ""
	if took := p.last.Sub(p.began); done > 0.01 && done < 1 {
		left = fmt.Sprintf(", %s left", time.Duration(float64(took)*(1-done)/done).Round(time.Second))
	}
	fmt.Fprintf(p.t.err, "\r[%s%s] %3.0f%%  %d hashes%s\x1b[K", strings.Repeat("=", full), strings.Repeat(" ", width-full), done*100, entries, left)
	p.drawn = true
}

func (p *progressBar) end() {
	if p.drawn {
		fmt.Fprintln(p.t.err)
	}
}

type breachCheck struct {
	PasswordFile string `placeholder:"PATH" help:"Read the password from this file, or from standard input if it is -. Without it the password is asked for."`
	File         string `placeholder:"PATH" help:"Ask this filter rather than what PASSWORD_BREACH says."`
}

func (breachCheck) Help() string {
	return `Exits 1 if the password is known, and 0 if it is not. The password is never an argument, which others on this machine could see.

Example:
  gatehouse breach check --file pwned.filter`
}

// errKnown is for a password that was found.
var errKnown = errors.New("this password is common, or has been in a breach")

// Run asks.
func (b breachCheck) Run(ctx context.Context, t *terminal) error {
	pass, given, err := t.givenPassword(b.PasswordFile)
	if err == nil && !given {
		pass, err = t.ask(ctx, "Password: ")
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
	_, err = fmt.Fprintln(t.out, "This password is not known.")
	return err
}

// ask holds the password against the filter that is named, or against what the
// settings name.
func (b breachCheck) ask(ctx context.Context, t *terminal, pass string) (known bool, err error) {
	c, log, err := t.settings()
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
	breaches, done, err := app.OpenBreaches(c, log, now)
	if err != nil {
		return false, err
	}
	known, err = breaches.Breached(ctx, password.Normalize(pass))
	return known, errors.Join(err, done())
}
