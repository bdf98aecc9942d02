package app

import (
	"context"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// describedClients reads CLIENTS_FILE, and returns what has the applications be what it says at the start; without the setting
// there is nothing to do, and what a file described before stays.
func describedClients(b *base, t *tokens, o *operate.Operator) (begin func(context.Context) error, err error) {
	c := b.config
	if c.ClientsFile == "" {
		return nil, nil
	}
	file, err := client.ReadFile(c.ClientsFile, !c.Production())
	if err != nil {
		return nil, fmt.Errorf("CLIENTS_FILE: %w", err)
	}
	starting := *o
	// Nothing follows the changes of keys yet: whoever waited for one to be seen here would wait for ever.
	starting.SignsID = func(ctx context.Context, algorithm string) error {
		return t.ring.EnsureIDSign(ctx, t.db, algorithm, t.now())
	}
	return func(ctx context.Context) error {
		done, err := starting.ApplyClients(ctx, file, false, event.Origin{})
		if err != nil {
			return fmt.Errorf("CLIENTS_FILE: %w", err)
		}
		for _, a := range done {
			what := "client"
			if a.Resource {
				what = "resource"
			}
			b.log.Info("CLIENTS_FILE was applied.", what, a.Name, "action", a.Did)
		}
		return nil
	}, nil
}
