package flow

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// ErrInvalidClient is for an application that did not prove who it is. It
// doesn't say whether there is one of that id.
var ErrInvalidClient = fault.New(fault.Unauthenticated, "invalid_client",
	"This is for registered applications: send the client id and the client secret with HTTP Basic authentication. "+
		"These are missing, wrong, or no longer good.")

// AuthenticateClient tells which registered application makes a request. As long
// as the replica knows what has changed, that asks nobody.
type AuthenticateClient struct {
	Core
	Clients     *client.Registry
	Revocations *token.Revocations
}

// Do returns the application or ErrInvalidClient.
func (f *AuthenticateClient) Do(ctx context.Context, id, secret string, from event.Origin) (client.Client, error) {
	fresh, changes := f.Revocations.Age() <= token.FreshFor, f.Revocations.ClientChanges()
	ctx, run := f.Count.begin(ctx, "authenticate_client")
	c, verdict, err := f.Clients.Authenticate(ctx, id, secret, changes, fresh)
	if err != nil {
		return c, run.end(err)
	}
	run.as(string(verdict))
	if verdict != client.Good && verdict != client.Old {
		f.Tally.Add(event.SuspiciousActivity, "client_credentials_wrong", from)
		return c, ErrInvalidClient.Because(reason(verdict))
	}
	return c, nil
}

// Known reports whether these are the credentials of an application that stands
// in memory. It judges nothing: Do does.
func (f *AuthenticateClient) Known(id, secret string) bool { return f.Clients.Known(id, secret) }

// CreateClient registers an application, and returns its secret.
func (f *Operator) CreateClient(ctx context.Context, name string, from event.Origin) (c client.Client, shown string, err error) {
	if name, err = client.ParseName(name); err != nil {
		return c, "", err
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		if c, shown, err = client.Create(tx, secret.Random{}, name, f.Now()); err != nil {
			return err
		}
		f.clientChanged(tx, event.ClientCreated, c, "", from)
		return nil
	})
	return c, shown, err
}

// Clients returns all registered applications.
func (f *Operator) Clients(ctx context.Context) (list []client.Client, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = client.List(tx, f.Now())
		return err
	})
	return list, err
}

// Client returns one, by its id or name.
func (f *Operator) Client(ctx context.Context, idOrName string) (c client.Client, err error) {
	err = f.DB.Read(ctx, func(tx *db.Tx) (err error) {
		c, err = client.Find(tx, idOrName, f.Now())
		return err
	})
	return c, err
}

// RotateClient gives an application a new secret and returns it. The one until
// now stays good until keepUntil.
func (f *Operator) RotateClient(ctx context.Context, idOrName string, keepUntil time.Time, from event.Origin) (c client.Client, shown string, err error) {
	c, err = f.changeClient(ctx, idOrName, event.ClientRotated, "", from, func(tx *db.Tx, c client.Client) (err error) {
		shown, err = client.Rotate(tx, secret.Random{}, c.ID, keepUntil, f.Now())
		return err
	})
	return c, shown, err
}

// EndOldSecret ends the secret from before an application's last rotation.
func (f *Operator) EndOldSecret(ctx context.Context, idOrName string, from event.Origin) (client.Client, error) {
	return f.changeClient(ctx, idOrName, event.ClientRotated, "old_secret_ended", from, func(tx *db.Tx, c client.Client) error {
		return client.EndOld(tx, c.ID, f.Now())
	})
}

// DeleteClient takes an application away.
func (f *Operator) DeleteClient(ctx context.Context, idOrName string, from event.Origin) (client.Client, error) {
	return f.changeClient(ctx, idOrName, event.ClientDeleted, "", from, func(tx *db.Tx, c client.Client) error {
		return client.Delete(tx, c.ID)
	})
}

// changeClient makes one change to an application, and returns it as it was
// before a deletion or is after any other.
func (f *Operator) changeClient(ctx context.Context, idOrName string, kind event.Kind, why string, from event.Origin,
	change func(*db.Tx, client.Client) error,
) (c client.Client, err error) {
	err = f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		if c, err = client.Find(tx, idOrName, f.Now()); err != nil {
			return err
		}
		if err := change(tx, c); err != nil {
			return err
		}
		f.clientChanged(tx, kind, c, why, from)
		if kind != event.ClientDeleted {
			c, err = client.Find(tx, c.ID, f.Now())
		}
		return err
	})
	return c, err
}

// clientChanged tells the log and all replicas.
func (f *Operator) clientChanged(tx *db.Tx, kind event.Kind, c client.Client, why string, from event.Origin) {
	f.Revoked.ClientsChanged(tx, secret.Random{})
	f.Events.Append(tx, event.Event{
		Kind: kind, Outcome: event.Success, Origin: from, Detail: event.Detail{By: operator, Client: c.ID, Reason: why},
	})
}
