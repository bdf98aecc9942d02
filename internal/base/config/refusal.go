package config

import (
	"fmt"
	"strings"
)

// Fault is one thing that is wrong with the settings.
type Fault struct {
	// Setting is the name, as the operator wrote it.
	Setting string `json:"setting"`
	// Source is where the value came from: one of the From constants, or empty
	// if the fault is in a file of settings as a whole.
	Source string `json:"source"`
	// Problem says what is wrong, Mend how to put it right: a sentence or two.
	Problem string `json:"problem"`
	Mend    string `json:"mend"`
}

// Faults is the refusal to start: every fault at once. The command line exits
// with 78 on it.
type Faults struct {
	// List holds one fault or more, in the order of the table.
	List []Fault `json:"faults"`
	// Warnings are those that would have stood in Config.Warnings: a misspelt
	// name is often why another is missing.
	Warnings []string `json:"warnings,omitempty"`

	partial *Config // as far as it could be read
}

// Error returns the refusal as an operator reads it on a terminal: several
// lines, at most 80 columns wide where the words allow.
func (f *Faults) Error() string {
	var b strings.Builder
	if len(f.List) == 1 {
		b.WriteString("Gatehouse can't start: one fault in the settings.\n")
	} else {
		fmt.Fprintf(&b, "Gatehouse can't start: %d faults in the settings.\n", len(f.List))
	}
	for _, one := range f.List {
		b.WriteString("\n" + one.Setting)
		switch one.Source {
		case FromDefault:
			b.WriteString(" (not set)")
		case FromFile:
			b.WriteString(" (from its file)")
		case FromEnvironment, FromEnvFile:
			b.WriteString(" (from " + where(one.Source) + ")")
		}
		b.WriteByte('\n')
		wrap(&b, "  wrong: ", one.Problem)
		wrap(&b, "  mend:  ", one.Mend)
	}
	if len(f.Warnings) > 0 {
		b.WriteString("\nAlso:\n")
		for _, w := range f.Warnings {
			wrap(&b, "  - ", w)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// where names a source within a sentence.
func where(source string) string {
	if source == FromEnvironment {
		return "the environment"
	}
	return source
}

// wrap writes the text in lines of at most 80 columns, the first behind the
// head and the others under its text.
func wrap(b *strings.Builder, head, text string) {
	const width = 80
	b.WriteString(head)
	column := len(head)
	for i, word := range strings.Fields(text) {
		if i > 0 && column+1+len(word) > width {
			b.WriteString("\n" + strings.Repeat(" ", len(head)))
			column = len(head)
		} else if i > 0 {
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	b.WriteByte('\n')
}
