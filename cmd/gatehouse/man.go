package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
)

type manCommand struct {
	Command string `arg:"" optional:"" help:"The command that the page is about, such as user; without it the page is that of gatehouse."`
}

func (manCommand) Help() string {
	return `The page is made from the commands themselves, in the form that man reads. A release has all of them.

Examples:
  gatehouse man | man -l -
  gatehouse man user > /usr/local/share/man/man1/gatehouse-user.1`
}

// Run prints a page, and starts nothing.
func (m manCommand) Run(t *terminal.Terminal, k *kong.Kong) error {
	var b strings.Builder
	if m.Command == "" {
		manOfAll(&b, k.Model.Node)
	} else {
		n := commandNamed(k.Model.Node, m.Command)
		if n == nil {
			return terminal.UsageError(fmt.Sprintf("there is no command %q. gatehouse --help lists them", m.Command))
		}
		manOf(&b, n)
	}
	_, err := fmt.Fprint(t.Out, b.String())
	return err
}

func commandNamed(root *kong.Node, name string) *kong.Node {
	for _, child := range root.Children {
		if child.Name == name && !child.Hidden {
			return child
		}
	}
	return nil
}

// manOfAll writes gatehouse(1): what the program is, its commands, and what all of them share.
func manOfAll(b *strings.Builder, root *kong.Node) {
	manHead(b, "gatehouse", "an authentication server that is safe by default", "gatehouse <command> [<flags>]")
	manText(b, "Accounts, passwords, second factors, sessions and tokens in one binary, with SQLite built in and PostgreSQL for when one machine "+
		"is not enough. Start with: gatehouse serve")
	b.WriteString(".SH COMMANDS\n")
	for _, child := range root.Children {
		if !child.Hidden {
			fmt.Fprintf(b, ".TP\n.BR gatehouse\\-%s (1)\n%s\n", roff(child.Name), roff(child.Help))
		}
	}
	b.WriteString(".SH OPTIONS\n")
	manFlags(b, root)
	b.WriteString(".SH ENVIRONMENT\n")
	manText(b, "Settings are read from the environment, and then from the file .env in the working directory. A secret may be in a file that "+
		"NAME_FILE names. gatehouse config lists all settings with the values in force.")
	b.WriteString(".SH EXIT STATUS\n")
	for _, exit := range []struct {
		code    int
		meaning string
	}{
		{terminal.ExitDone, "It worked."}, {terminal.ExitFailed, "It did not work, or it found something."},
		{terminal.ExitUsage, "The words of the command are wrong."}, {terminal.ExitConfig, "The settings are unsafe or broken."},
	} {
		fmt.Fprintf(b, ".TP\n.B %d\n%s\n", exit.code, roff(exit.meaning))
	}
}

// manOf writes the page of a command, with those below it.
func manOf(b *strings.Builder, n *kong.Node) {
	name := "gatehouse-" + n.Name
	manHead(b, name, strings.TrimSuffix(n.Help, "."), "gatehouse "+n.Summary())
	manText(b, n.Detail)
	if len(n.Children) == 0 {
		b.WriteString(".SH OPTIONS\n")
		manArguments(b, n)
	} else {
		b.WriteString(".SH COMMANDS\n")
		walk(n, nil, func(c *kong.Node, path []string) {
			if len(path) == 0 || len(c.Children) > 0 {
				return
			}
			fmt.Fprintf(b, ".SS %s\n%s\n", roff("gatehouse "+c.Summary()), roff(c.Help))
			manText(b, c.Detail)
			manArguments(b, c)
		})
	}
	b.WriteString(".SH SEE ALSO\n.BR gatehouse (1)\n")
}

func manHead(b *strings.Builder, name, does, synopsis string) {
	fmt.Fprintf(b, ".TH %s 1 \"\" \"gatehouse %s\" \"Gatehouse\"\n", roff(strings.ToUpper(name)), roff(version()))
	fmt.Fprintf(b, ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n.B %s\n.SH DESCRIPTION\n", roff(name), roff(does), roff(synopsis))
}

func manArguments(b *strings.Builder, n *kong.Node) {
	for _, arg := range n.Positional {
		fmt.Fprintf(b, ".TP\n.I %s\n%s\n", roff(arg.Summary()), roff(arg.Help))
	}
	manFlags(b, n)
}

func manFlags(b *strings.Builder, n *kong.Node) {
	for _, f := range n.Flags {
		if !f.Hidden {
			fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(f.String()), roff(f.Help))
		}
	}
}

// manText writes what --help says: lines that are indented stay as they are, others fill the page.
func manText(b *strings.Builder, text string) {
	verbatim := false
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		if indented := strings.HasPrefix(line, "  "); indented != verbatim {
			verbatim = indented
			b.WriteString(map[bool]string{true: ".sp\n.nf\n", false: ".fi\n"}[indented])
		}
		if line == "" {
			b.WriteString(".PP\n")
			continue
		}
		b.WriteString(roff(line) + "\n")
	}
	if verbatim {
		b.WriteString(".fi\n")
	}
}

// roff is a text as it stands in a page: no line of it is a request, and hyphens can be copied.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		return `\&` + s
	}
	return s
}
