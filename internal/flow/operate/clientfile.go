package operate

import (
	"context"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
)

// Applied is what a file of applications and resources changes of one.
type Applied struct {
	// Name is an application's, or a resource's URI.
	Name     string
	Resource bool
	// Did is client.Created, client.Changed, Disabled or Deleted.
	Did string
}

// What becomes of an application that the file does not have any more.
const (
	Disabled = "disabled"
	Deleted  = "deleted"
)

// PlanClients tells what [Operator.ApplyClients] would do. It changes nothing.
func (f *Operator) PlanClients(ctx context.Context, file client.Described, prune bool) ([]Applied, error) {
	return f.applied(ctx, file, prune, event.Origin{}, true)
}

// ApplyClients has the applications and resources be what a file says, all in one transaction. One that the file does not have any more is
// disabled, or with prune deleted, after the transaction; those that were registered by hand are left alone. Where nothing differs,
// nothing is written. The faults are invalid_clients_file and the settings' own.
func (f *Operator) ApplyClients(ctx context.Context, file client.Described, prune bool, from event.Origin) ([]Applied, error) {
	made := map[string]bool{}
	for _, e := range file.Clients {
		algorithm := e.Settings.IDAlgorithm()
		if !e.Type.SignsIn() || made[algorithm] {
			continue
		}
		if err := f.SignsID(ctx, algorithm); err != nil {
			return nil, err
		}
		made[algorithm] = true
	}
	list, err := f.applied(ctx, file, prune, from, false)
	for _, resources := range []bool{false, true} { // an application may name a resource
		for _, a := range list {
			switch {
			case err != nil || a.Did != Deleted || a.Resource != resources:
			case resources:
				err = f.deleteResource(ctx, a.Name, true, from)
			default:
				_, err = f.deleteClient(ctx, a.Name, true, from)
			}
		}
	}
	return list, err
}

// errPlanned takes a transaction back that was to find out what would happen.
type plannedError struct{}

func (plannedError) Error() string { return "this was a plan" }

func (f *Operator) applied(ctx context.Context, file client.Described, prune bool, from event.Origin, plan bool) (list []Applied, err error) {
	for _, e := range file.Resources {
		if err := e.Resource().Check(f.Reserved, !f.Production); err != nil {
			return nil, err
		}
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		list = nil
		wanted := map[string]bool{}
		for _, e := range file.Clients {
			wanted[e.Name] = true
			if err := e.CheckHost(f.Console); err != nil {
				return err
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
				list = append(list, Applied{Name: e.Name, Did: did})
			}
		}
		gone, err := f.dropped(tx, wanted, prune, from)
		list = append(list, gone...)
		if err == nil { // after the applications: everybody takes them in this order
			gone, err = f.appliedResources(tx, file, prune, from)
			list = append(list, gone...)
		}
		if err == nil && plan {
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
			list = append(list, Applied{Name: c.Name, Did: Deleted})
		case c.DisabledAt.IsZero():
			list = append(list, Applied{Name: c.Name, Did: Disabled})
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

// appliedResources has the resources be what a file says, and those that its applications name stay; in the order of their URIs, as
// everybody takes them.
func (f *Operator) appliedResources(tx *db.Tx, file client.Described, prune bool, from event.Origin) (list []Applied, err error) {
	had, err := client.ListResources(tx)
	if err != nil {
		return nil, err
	}
	entries, managed := map[string]client.ResourceEntry{}, map[string]client.Resource{}
	var all []string
	for _, e := range file.Resources {
		entries[e.URI], all = e, append(all, e.URI)
	}
	for _, e := range file.Clients {
		all = append(all, e.Names()...)
	}
	for _, r := range had {
		if r.FromFile {
			managed[r.URI], all = r, append(all, r.URI)
		}
	}
	slices.Sort(all)
	for _, uri := range slices.Compact(all) {
		e, wanted := entries[uri]
		did := client.Unchanged
		if wanted {
			did, err = e.Apply(tx, f.Now())
		} else if err = client.HoldKnown(tx, uri); err == nil && managed[uri].FromFile {
			if did, err = "", client.DisableResource(tx, uri, f.Now()); prune {
				did = Deleted
			} else if !managed[uri].Disabled {
				did = Disabled
			}
		}
		if err != nil {
			return list, err
		}
		if did == client.Unchanged {
			continue
		}
		list = append(list, Applied{Name: uri, Resource: true, Did: did})
		kind := event.ResourceChanged
		if did == client.Created {
			kind = event.ResourceCreated
		}
		f.resourceChanged(tx, kind, uri, from)
	}
	return list, nil
}
