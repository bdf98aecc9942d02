package operate

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// AddResource registers a resource.
func (f *Operator) AddResource(ctx context.Context, r client.Resource, from event.Origin) (client.Resource, error) {
	if err := r.Check(f.Reserved, !f.Production); err != nil {
		return r, err
	}
	r.CreatedAt = f.Now()
	return r, f.DB.Write(ctx, func(tx *db.Tx) error {
		if err := client.AddResource(tx, r, r.CreatedAt); err != nil {
			return err
		}
		f.resourceChanged(tx, event.ResourceCreated, r.URI, from)
		return nil
	})
}

// Resources returns all resources, in the order of their URIs.
func (f *Operator) Resources(ctx context.Context) (list []client.Resource, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = client.ListResources(tx)
		return err
	})
	return list, err
}

// Resource returns the one of a URI.
func (f *Operator) Resource(ctx context.Context, uri string) (client.Resource, error) {
	list, err := f.Resources(ctx)
	for _, r := range list {
		if r.URI == uri {
			return r, err
		}
	}
	if err == nil {
		err = client.ErrNoResource
	}
	return client.Resource{}, err
}

// SetResource changes all of a resource but its URI, and returns it. change is given it as it is.
func (f *Operator) SetResource(ctx context.Context, uri string, change func(client.Resource) client.Resource, from event.Origin) (
	r client.Resource, err error,
) {
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		had, err := client.HoldResource(tx, uri)
		if err != nil {
			return err
		}
		if had.FromFile {
			return client.ErrResourceManaged
		}
		if err := f.over(had); err != nil {
			return err
		}
		r = change(had)
		r.URI, r.CreatedAt, r.FromFile, r.Disabled = had.URI, had.CreatedAt, false, had.Disabled
		if err := r.Check(f.Reserved, !f.Production); err != nil {
			return err
		}
		f.resourceChanged(tx, event.ResourceChanged, uri, from)
		return client.ChangeResource(tx, r)
	})
	return r, err
}

// DeleteResource takes a resource away: from then on no tokens are made for it. Those that there are end by themselves.
func (f *Operator) DeleteResource(ctx context.Context, uri string, from event.Origin) error {
	return f.deleteResource(ctx, uri, false, from)
}

func (f *Operator) deleteResource(ctx context.Context, uri string, fromFile bool, from event.Origin) error {
	return f.DB.Write(ctx, func(tx *db.Tx) error {
		had, err := client.HoldResource(tx, uri)
		if err == nil && had.FromFile && !fromFile {
			err = client.ErrResourceManaged
		}
		if err != nil {
			return err
		}
		f.resourceChanged(tx, event.ResourceDeleted, uri, from)
		return client.DeleteResource(tx, uri, f.Now())
	})
}

// resourceChanged tells the log and all replicas.
func (f *Operator) resourceChanged(tx *db.Tx, kind event.Kind, uri string, from event.Origin) {
	f.Revoked.ClientsChanged(tx, secret.Random{})
	f.Events.Append(tx, event.Event{
		Kind: kind, Outcome: event.Success, Origin: from, Detail: event.Detail{By: f.by(), Actor: f.actor(), Resource: uri},
	})
	f.acted(tx, resourceActions[kind], event.Event{Origin: from, Detail: event.Detail{Resource: uri}})
}

// Resources returns the registered resources.
func (f *Operations) Resources(ctx context.Context) ([]client.Resource, error) {
	ctx, run := f.Count.Begin(ctx, "operations")
	list, err := f.Operator.Resources(ctx)
	return list, run.End(err)
}

// Resource returns one of them.
func (f *Operations) Resource(ctx context.Context, uri string) (client.Resource, error) {
	ctx, run := f.Count.Begin(ctx, "operations")
	r, err := f.Operator.Resource(ctx, uri)
	return r, run.End(err)
}

// AddResource registers a resource.
func (f *Operations) AddResource(ctx context.Context, r client.Resource, why string, who flow.Identity, from event.Origin) (
	made client.Resource, err error,
) {
	ctx, run := f.Count.Begin(ctx, "act")
	if why, err = ParseWhy(why); err == nil {
		made, err = f.Operator.As(who, why).AddResource(ctx, r, from)
	}
	return made, run.End(err)
}

// ChangeResource replaces all of a resource but its URI. shown is what the actor was shown of it ([Shown]); empty for who was not.
func (f *Operations) ChangeResource(ctx context.Context, r client.Resource, shown, why string, who flow.Identity, from event.Origin) (
	is client.Resource, err error,
) {
	ctx, run := f.Count.Begin(ctx, "act")
	if why, err = ParseWhy(why); err == nil {
		is, err = f.Operator.As(who, why).Over(shown).SetResource(ctx, r.URI, func(client.Resource) client.Resource { return r }, from)
	}
	return is, run.End(err)
}

// RemoveResource takes a resource away.
func (f *Operations) RemoveResource(ctx context.Context, uri, why string, who flow.Identity, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "act")
	why, err := ParseWhy(why)
	if err == nil {
		err = f.Operator.As(who, why).DeleteResource(ctx, uri, from)
	}
	return run.End(err)
}
