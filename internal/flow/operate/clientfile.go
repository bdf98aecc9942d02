package operate

import (
	"context"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// Applied is what a file of applications changes of one.
type Applied struct {
	Name string
	// Did is client.Created, client.Changed, Disabled or Deleted.
	Did string
}

// What becomes of an application that the file does not have any more.
const (
	Disabled = "disabled"
	Deleted  = "deleted"
)

// PlanClients tells what [Operator.ApplyClients] would do. It changes nothing.
func (f *Operator) PlanClients(ctx context.Context, entries []client.Entry, prune bool) ([]Applied, error) {
	return f.applied(ctx, entries, prune, event.Origin{}, true)
}

// ApplyClients has the applications be what a file says, all in one transaction. One that the file does not have any more is
// disabled, or with prune deleted, after the transaction; those that were registered by hand are left alone. Where nothing differs,
// nothing is written. The faults are invalid_clients_file and the settings' own.
func (f *Operator) ApplyClients(ctx context.Context, entries []client.Entry, prune bool, from event.Origin) ([]Applied, error) {
	made := map[string]bool{}
	for _, e := range entries {
		algorithm := e.Settings.IDAlgorithm()
		if !e.Type.SignsIn() || made[algorithm] {
			continue
		}
		if err := f.SignsID(ctx, algorithm); err != nil {
			return nil, err
		}
		made[algorithm] = true
	}
	list, err := f.applied(ctx, entries, prune, from, false)
	for _, a := range list {
		if err == nil && a.Did == Deleted {
			_, err = f.deleteClient(ctx, a.Name, true, from)
		}
	}
	return list, err
}

// errPlanned takes a transaction back that was to find out what would happen.
type plannedError struct{}

func (plannedError) Error() string { return "this was a plan" }

func (f *Operator) applied(ctx context.Context, entries []client.Entry, prune bool, from event.Origin, plan bool) (list []Applied, err error) {
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		list = nil
		var named client.Settings
		wanted := map[string]bool{}
		for _, e := range entries {
			wanted[e.Name] = true
			if err := e.CheckHost(f.Console); err != nil {
				return err
			}
			named.Resources = slices.Concat(named.Resources, e.Resources, e.Serves)
			if e.DefaultResource != "" {
				named.Resources = append(named.Resources, e.DefaultResource)
			}
			c, did, err := e.Apply(tx, secret.Random{}, f.Now())
			if err != nil {
				return err
			}
			if !c.DisabledAt.IsZero() {
				if err := f.endOwnTokens(tx, c); err != nil {
					return err
				}
			}
			if did != client.Unchanged {
				f.clientChanged(tx, map[string]event.Kind{client.Created: event.ClientCreated, client.Changed: event.ClientChanged}[did], c, "file", from)
				list = append(list, Applied{e.Name, did})
			}
		}
		if err := named.HoldNamed(tx); err != nil { // after the applications: everybody takes them in this order
			return err
		}
		gone, err := f.dropped(tx, wanted, prune, from)
		if list = append(list, gone...); err == nil && plan {
			err = plannedError{}
		}
		return err
	})
	if _, planned := err.(plannedError); planned { //nolint:errorlint // it is ours, unwrapped
		err = nil
	}
	return list, err
}

// dropped disables what a file described before and does not any more.
func (f *Operator) dropped(tx *db.Tx, wanted map[string]bool, prune bool, from event.Origin) (list []Applied, err error) {
	all, err := client.List(tx, f.Now())
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		switch {
		case !c.FromFile || wanted[c.Name]:
			continue
		case prune:
			list = append(list, Applied{c.Name, Deleted})
		case c.DisabledAt.IsZero():
			list = append(list, Applied{c.Name, Disabled})
			f.clientChanged(tx, event.ClientChanged, c, "disabled", from)
			if err = client.Disable(tx, c.ID, f.Now()); err == nil {
				err = f.endOwnTokens(tx, c)
			}
		}
		if err != nil {
			return list, err
		}
	}
	return list, nil
}
