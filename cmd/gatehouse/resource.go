package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type resourceCommand struct {
	Create resourceCreate `cmd:"" help:"Register a resource: an API that takes access tokens of its own."`
	List   resourceList   `cmd:"" help:"List the registered resources."`
	Show   resourceShow   `cmd:"" help:"Show a resource with its scopes."`
	Set    resourceSet    `cmd:"" help:"Change a resource."`
	Delete resourceDelete `cmd:"" help:"Delete a resource."`
}

func (resourceCommand) Help() string {
	return `A resource is an API of yours (RFC 8707): applications ask for access tokens for it by its URI, which is their audience, to the letter. A token
for one resource is refused by all others. Running servers apply a change within a second.

Example:
  gatehouse resource create --name Notes --scope 'notes.read=Read your notes' https://notes.example.com/api`
}

// resourceJSON is a resource for programs.
type resourceJSON struct {
	client.Resource
	CreatedAt time.Time `json:"created_at"`
}

// resourceFlags are what there is of a resource. What is not given changes nothing.
type resourceFlags struct {
	Name  *string  `help:"What people are shown."`
	Scope []string `sep:"none" placeholder:"SCOPE[=TITLE]" help:"What applications may do there, and in which words people are asked; may be given several times."`
	Open  *bool    `negatable:"" help:"Applications that registered themselves may ask for it."`
}

// change returns what makes a resource of another: with what was given.
func (f resourceFlags) change(r client.Resource) client.Resource {
	set(&r.Name, f.Name)
	set(&r.Open, f.Open)
	if len(f.Scope) > 0 {
		r.Scopes = nil
	}
	for _, s := range f.Scope {
		if s == "" { // --scope '' takes them all away
			continue
		}
		name, title, _ := strings.Cut(s, "=")
		r.Scopes = append(r.Scopes, client.Scope{Name: name, Title: title})
	}
	return r
}

type resourceCreate struct {
	URI string `arg:"" help:"Its URI: what its access tokens have as their audience, to the letter."`
	resourceFlags
	JSON bool `name:"json" help:"Print JSON."`
}

func (resourceCreate) Help() string {
	return `Examples:
  gatehouse resource create --name Notes --scope 'notes.read=Read your notes' --scope 'notes.write=Change your notes' https://notes.example.com/api
  gatehouse resource create --name Calendar --open https://mcp.example.com/calendar`
}

// Run registers the resource.
func (c resourceCreate) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		made, err := o.AddResource(ctx, c.change(client.Resource{URI: c.URI}), t.Origin())
		if err != nil {
			return err
		}
		return showResource(t, made, c.JSON)
	})
}

type resourceList struct {
	JSON bool `name:"json" help:"Print JSON, one resource per line."`
}

func (resourceList) Help() string { return "Example:\n  gatehouse resource list" }

// Run lists the resources.
func (c resourceList) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		list, err := o.Resources(ctx)
		if err != nil {
			return err
		}
		if len(list) == 0 && !c.JSON {
			fmt.Fprintln(t.Err, "There are no resources yet. Register one: gatehouse resource create URI")
			return nil
		}
		lines := [][]string{{"URI", "NAME", "SCOPES", "OPEN"}}
		for _, r := range list {
			if c.JSON {
				if err := t.JSONLine(resourceJSON{r, r.CreatedAt}); err != nil {
					return err
				}
				continue
			}
			lines = append(lines, []string{r.URI, r.Name, scopeNames(r), yesOrNo(r.Open)})
		}
		if c.JSON {
			return nil
		}
		return t.Table(lines)
	})
}

func scopeNames(r client.Resource) string {
	names := make([]string, 0, len(r.Scopes))
	for _, s := range r.Scopes {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

func yesOrNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

type resourceShow struct {
	URI  string `arg:"" help:"Its URI."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (resourceShow) Help() string {
	return "Example:\n  gatehouse resource show https://notes.example.com/api"
}

// Run shows the resource.
func (c resourceShow) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		r, err := o.Resource(ctx, c.URI)
		if err != nil {
			return err
		}
		return showResource(t, r, c.JSON)
	})
}

func showResource(t *terminal.Terminal, r client.Resource, asJSON bool) error {
	if asJSON {
		return t.JSON(resourceJSON{r, r.CreatedAt})
	}
	lines := [][]string{{"uri", r.URI}, {"name", r.Name}, {"open", yesOrNo(r.Open)}, {"created", terminal.Time(r.CreatedAt)}}
	if r.FromFile {
		lines = append(lines, []string{"described by", "a file: it is changed there"})
	}
	if r.Disabled {
		lines = append(lines, []string{"disabled", "the file does not have it any more: no tokens are made for it"})
	}
	for _, s := range r.Scopes {
		text := s.Name
		if s.Title != "" {
			text += " (" + s.Title + ")"
		}
		lines = append(lines, []string{"scope", text})
	}
	return t.Table(lines)
}

type resourceSet struct {
	URI string `arg:"" help:"Its URI, which stays."`
	resourceFlags
	JSON bool `name:"json" help:"Print JSON."`
}

func (resourceSet) Help() string {
	return `What is not given stays as it is; the scopes are replaced as a whole. A scope that is taken away stands in no new token.

Examples:
  gatehouse resource set --name 'My notes' https://notes.example.com/api
  gatehouse resource set --no-open https://mcp.example.com/calendar`
}

// Run changes the resource.
func (c resourceSet) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		r, err := o.SetResource(ctx, c.URI, c.change, t.Origin())
		if err != nil {
			return err
		}
		return showResource(t, r, c.JSON)
	})
}

type resourceDelete struct {
	URI string `arg:"" help:"Its URI."`
	Yes bool   `help:"Do it. Without it, the command only says what it would do."`
}

func (resourceDelete) Help() string {
	return "Example:\n  gatehouse resource delete --yes https://notes.example.com/api"
}

// Run deletes the resource, or says that it would.
func (c resourceDelete) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		r, err := o.Resource(ctx, c.URI)
		if err != nil {
			return err
		}
		if !c.Yes {
			_, err := fmt.Fprintf(t.Out, "This would delete the resource %s (%s): no more tokens are made for it. Add --yes to do it.\n", r.Name, r.URI)
			return err
		}
		if err := o.DeleteResource(ctx, r.URI, t.Origin()); err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.Out, "Deleted the resource %s (%s).\n", r.Name, r.URI)
		return err
	})
}
