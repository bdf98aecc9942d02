package main

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type clientApply struct {
	File  string `short:"f" name:"file" required:"" placeholder:"FILE" help:"The file, in YAML or JSON."`
	Prune bool   `help:"Delete what it does not have any more, where it would be disabled otherwise."`
	Yes   bool   `help:"Do it even if applications or resources are disabled or deleted. Otherwise it only says what it would do then."`
}

func (clientApply) Help() string {
	return `Applications and resources that the file has are registered, or changed to what it says; those that a file described before and this one does not are
disabled, or deleted with --prune. Those that were registered by hand are left alone. All of it is done at once, or nothing. CLIENTS_FILE
does the same at every start. What a file describes is changed there alone: the console, the API and the other commands refuse it.

No secret stands in the file, but its SHA-256:

  clients:
    - id: grafana
      type: web
      title: Grafana
      secret_sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      redirect_uris: [https://grafana.example.com/login/generic_oauth]
    - id: shop
      type: spa
      redirect_uris: [https://shop.example.com/callback]
      resources: [https://shop.example.com/api]
  resources:
    - uri: https://shop.example.com/api
      name: Orders
      scopes: [orders.read See your orders, orders.write Order in your name]

Examples:
  SECRET=$(gatehouse secret); printf %s "$SECRET" | sha256sum
  gatehouse client apply -f clients.yaml
  gatehouse client apply -f clients.yaml --prune --yes`
}

// Run applies the file, or says what that would take away.
func (c clientApply) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		file, err := client.ReadFile(c.File, !o.Production)
		if err != nil {
			return err
		}
		plan, err := o.PlanClients(ctx, file, c.Prune)
		if err != nil {
			return err
		}
		takes := false
		for _, a := range plan {
			takes = takes || a.Did == operate.Disabled || a.Did == operate.Deleted
		}
		if takes && !c.Yes {
			for _, a := range plan {
				fmt.Fprintf(t.Out, "%s would be %s.\n", a.Name, a.Did)
			}
			_, err := fmt.Fprintln(t.Out, "Add --yes to do it.")
			return err
		}
		done, err := o.ApplyClients(ctx, file, c.Prune, t.Origin())
		if err != nil {
			return err
		}
		for _, a := range done {
			fmt.Fprintf(t.Out, "%s was %s.\n", a.Name, a.Did)
		}
		if len(done) == 0 {
			fmt.Fprintln(t.Err, "Nothing differs from the file.")
		}
		return nil
	})
}
