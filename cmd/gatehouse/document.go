package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/consent"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type documentCommand struct {
	List documentList `cmd:"" help:"List the versions of documents, and how many people have agreed to each."`
	Show documentShow `cmd:"" help:"Print a version of a document."`
}

func (documentCommand) Help() string {
	return `The server publishes documents from their files (PRIVACY_FILE, TERMS_FILE, DOCUMENT_FILES) when it starts. See docs/guides/documents.md.

Example:
  gatehouse document list`
}

// documents runs a command that looks at documents.
func documents(ctx context.Context, t *terminal.Terminal, do func(*flow.Consents) error) error {
	c, _, err := t.Settings()
	if err != nil {
		return err
	}
	return t.Operator(ctx, func(o *operate.Operator) error { return do(app.OperatorConsents(c, o)) })
}

// documentJSON is a version of a document for programs.
type documentJSON struct {
	Name     string `json:"name"`
	Version  int64  `json:"version"`
	Since    string `json:"since"`
	Hash     string `json:"hash"`
	Required bool   `json:"required"`
	Agreed   int64  `json:"agreed"`
}

type documentList struct {
	JSON bool `name:"json" help:"Print JSON, a version a line."`
}

func (documentList) Help() string { return "Example:\n  gatehouse document list --json" }

// Run lists them.
func (l documentList) Run(ctx context.Context, t *terminal.Terminal) error {
	return documents(ctx, t, func(f *flow.Consents) error {
		list, err := f.Documents(ctx)
		if err != nil {
			return err
		}
		if len(list) == 0 && !l.JSON {
			fmt.Fprintln(t.Err, "There are no documents yet. Name their files in PRIVACY_FILE, TERMS_FILE or DOCUMENT_FILES, and start the server.")
			return nil
		}
		rows := [][]string{{"NAME", "VERSION", "SINCE", "REQUIRED", "AGREED", "HASH"}}
		for _, d := range list {
			hash, required := hex.EncodeToString(d.Hash), f.Requires(d.Name)
			if l.JSON {
				err := t.JSONLine(documentJSON{d.Name, d.Version, terminal.Time(d.MadeAt), hash, required, d.Given})
				if err != nil {
					return err
				}
				continue
			}
			rows = append(rows, []string{d.Name, fmt.Sprint(d.Version), terminal.Time(d.MadeAt), yesNo(required), fmt.Sprint(d.Given), hash})
		}
		if l.JSON {
			return nil
		}
		return t.Table(rows)
	})
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

type documentShow struct {
	Name     string `arg:"" help:"Such as terms."`
	Version  int64  `help:"Which one; without it, the one in force."`
	Language string `help:"In which language, such as de; without it, the text for all others."`
}

func (documentShow) Help() string { return "Example:\n  gatehouse document show terms --version 1" }

// Run prints it.
func (s documentShow) Run(ctx context.Context, t *terminal.Terminal) error {
	if s.Version < 0 {
		return terminal.UsageError("--version must be the number of a version, from 1.")
	}
	return documents(ctx, t, func(f *flow.Consents) error {
		list, err := f.Documents(ctx)
		if err != nil {
			return err
		}
		for _, d := range list { // by name, the newest first
			if d.Name != s.Name || s.Version != 0 && d.Version != s.Version {
				continue
			}
			text, in := d.In(s.Language)
			if s.Language != in {
				return fault.Field("language", "no_such_language", "This version has no text in this language.")
			}
			_, err := fmt.Fprintln(t.Out, strings.TrimRight(text, "\n"))
			return err
		}
		return consent.ErrNoDocument
	})
}
