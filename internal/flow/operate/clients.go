package operate

import (
	"context"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// CreateClient registers a service, and returns its secret.
func (f *Operator) CreateClient(ctx context.Context, name string, from event.Origin) (client.Client, string, error) {
	return f.RegisterClient(ctx, name, client.Service, client.Settings{}, from)
}

// RegisterClient registers an application, and returns its secret, which public ones do not have.
func (f *Operator) RegisterClient(ctx context.Context, name string, kind client.Type, settings client.Settings, from event.Origin) (c client.Client,
	shown string, err error,
) {
	if name, err = client.ParseName(name); err != nil {
		return c, "", err
	}
	if err := f.check(settings, kind); err != nil {
		return c, "", err
	}
	if kind.SignsIn() {
		if err := f.SignsID(ctx, settings.IDAlgorithm()); err != nil {
			return c, "", err
		}
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		if err := settings.HoldNamed(tx); err != nil {
			return err
		}
		if c, shown, err = client.Create(tx, secret.Random{}, name, kind, settings, f.Now()); err != nil {
			return err
		}
		f.clientChanged(tx, event.ClientCreated, c, "", from)
		return nil
	})
	return c, shown, err
}

// check tells whether an application of a type may have settings here.
func (f *Operator) check(settings client.Settings, kind client.Type) error {
	if err := settings.Check(kind, !f.Production); err != nil {
		return err
	}
	return settings.CheckHost(f.Console)
}

// errNewer is for an application whose settings this version can't keep.
var errNewer = fault.New(fault.Conflict, "newer_settings",
	"A newer version of Gatehouse has written the settings of this application, and this one would lose some: use the newer one.")

// SetClient changes what an application may do that people sign in to, and returns it. change is given its settings.
func (f *Operator) SetClient(ctx context.Context, idOrName string, change func(client.Settings) client.Settings, from event.Origin) (client.Client, error) {
	had, err := f.Client(ctx, idOrName)
	if err != nil {
		return had, err
	}
	// The key is there before the setting is, so that nobody's sign-in waits for it.
	if algorithm := change(had.Settings).IDAlgorithm(); had.Type.SignsIn() && slices.Contains(client.IDAlgorithms(), algorithm) {
		if err := f.SignsID(ctx, algorithm); err != nil {
			return had, err
		}
	}
	return f.changeClient(ctx, idOrName, event.ClientChanged, "", from, func(tx *db.Tx, c client.Client) error {
		if c.Newer {
			return errNewer
		}
		if err := f.over(c.Settings); err != nil {
			return err
		}
		settings := change(c.Settings)
		if err := f.check(settings, c.Type); err != nil {
			return err
		}
		if err := settings.HoldNamed(tx); err != nil {
			return err
		}
		if settings.Keyed() != c.Settings.Keyed() { // it shows who it is in another way from now on
			if err := f.endOwnTokens(tx, c); err != nil {
				return err
			}
		}
		return client.Change(tx, secret.Random{}, c.ID, settings)
	})
}

// DisableClient refuses an application everywhere, or accepts it again, and returns it.
func (f *Operator) DisableClient(ctx context.Context, idOrName string, disabled bool, from event.Origin) (client.Client, error) {
	why, change := "enabled", func(tx *db.Tx, c client.Client) error { return client.Enable(tx, c.ID) }
	if disabled {
		why, change = "disabled", func(tx *db.Tx, c client.Client) error {
			if err := f.endOwnTokens(tx, c); err != nil {
				return err
			}
			return client.Disable(tx, c.ID, f.Now())
		}
	}
	return f.changeClient(ctx, idOrName, event.ClientChanged, why, from, change)
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
	if f.SecondApproves && !keepUntil.After(f.Now()) {
		return c, "", ErrApproval
	}
	c, err = f.changeClient(ctx, idOrName, event.ClientRotated, "", from, func(tx *db.Tx, c client.Client) (err error) {
		if !keepUntil.After(f.Now()) {
			if err := f.endOwnTokens(tx, c); err != nil {
				return err
			}
		}
		shown, err = client.Rotate(tx, secret.Random{}, c.ID, keepUntil, f.Now())
		return err
	})
	return c, shown, err
}

// ReplaceSecret is [Operator.RotateClient] for a secret that somebody else may have: the one until now ends at once. first is what
// is done before, in the same transaction.
func (f *Operator) ReplaceSecret(ctx context.Context, idOrName string, first func(tx *db.Tx, c client.Client) error, from event.Origin) (
	c client.Client, shown string, err error,
) {
	c, err = f.changeClient(ctx, idOrName, event.ClientRotated, "incident", from, func(tx *db.Tx, c client.Client) (err error) {
		if err := first(tx, c); err != nil {
			return err
		}
		if err := f.endOwnTokens(tx, c); err != nil {
			return err
		}
		shown, err = client.Rotate(tx, secret.Random{}, c.ID, f.Now(), f.Now())
		return err
	})
	return c, shown, err
}

// EndOldSecret ends the secret from before an application's last rotation.
func (f *Operator) EndOldSecret(ctx context.Context, idOrName string, from event.Origin) (client.Client, error) {
	return f.changeAnyClient(ctx, idOrName, event.ClientRotated, "old_secret_ended", from, func(tx *db.Tx, c client.Client) error {
		return client.EndOld(tx, c.ID, f.Now())
	})
}

// forgetBatch is how many grants and consents of an application that goes one transaction takes: others' sign-ins shall not wait for long.
const forgetBatch = 500

// DeleteClient takes an application away, with what it was granted and the consents to it. Where these are many it is disabled first; if it
// breaks off, say it again.
func (f *Operator) DeleteClient(ctx context.Context, idOrName string, from event.Origin) (client.Client, error) {
	return f.deleteClient(ctx, idOrName, false, from)
}

func (f *Operator) deleteClient(ctx context.Context, idOrName string, fromFile bool, from event.Origin) (c client.Client, err error) {
	for gone := false; !gone && err == nil; {
		err = f.DB.Write(ctx, func(tx *db.Tx) (err error) {
			if c, err = client.Hold(tx, idOrName, f.Now()); err != nil {
				return err
			}
			if c.FromFile && !fromFile {
				return client.ErrManaged
			}
			n, err := grant.WithdrawAll(tx, c.ID, forgetBatch)
			if err != nil {
				return err
			}
			ended, err := grant.EndAll(tx, c.ID, grant.WhyRevoked, f.Now(), forgetBatch)
			if err := flow.EndGrants(tx, f.Revoked, ended, err); err != nil {
				return err
			}
			forgot, err := grant.ForgetSignedIn(tx, c.ID, forgetBatch)
			if err != nil {
				return err
			}
			if gone = n < forgetBatch && len(ended) < forgetBatch && forgot < forgetBatch; gone {
				f.clientChanged(tx, event.ClientDeleted, c, "", from)
				if err := f.endOwnTokens(tx, c); err != nil {
					return err
				}
				return client.Delete(tx, c.ID)
			}
			if c.DisabledAt.IsZero() {
				f.clientChanged(tx, event.ClientChanged, c, "disabled", from)
			}
			return client.Disable(tx, c.ID, f.Now())
		})
	}
	return c, err
}

// endOwnTokens ends the tokens that a service has got for itself. The caller holds the application.
func (f *Operator) endOwnTokens(tx *db.Tx, c client.Client) error {
	if c.SID == "" {
		return nil
	}
	f.Revoked.EndSession(tx, c.SID)
	return client.DropSID(tx, c.ID)
}

// changeClient makes one change to an application that no file describes, and returns it.
func (f *Operator) changeClient(ctx context.Context, idOrName string, kind event.Kind, why string, from event.Origin,
	change func(*db.Tx, client.Client) error,
) (c client.Client, err error) {
	return f.changeAnyClient(ctx, idOrName, kind, why, from, func(tx *db.Tx, c client.Client) error {
		if c.FromFile {
			return client.ErrManaged
		}
		return change(tx, c)
	})
}

func (f *Operator) changeAnyClient(ctx context.Context, idOrName string, kind event.Kind, why string, from event.Origin,
	change func(*db.Tx, client.Client) error,
) (c client.Client, err error) {
	err = f.DB.Write(ctx, func(tx *db.Tx) (err error) {
		if c, err = client.Hold(tx, idOrName, f.Now()); err != nil {
			return err
		}
		if err := change(tx, c); err != nil {
			return err
		}
		f.clientChanged(tx, kind, c, why, from)
		c, err = client.Find(tx, c.ID, f.Now())
		return err
	})
	return c, err
}

// clientChanged tells the log and all replicas.
func (f *Operator) clientChanged(tx *db.Tx, kind event.Kind, c client.Client, why string, from event.Origin) {
	f.Revoked.ClientsChanged(tx, secret.Random{})
	f.Events.Append(tx, event.Event{
		Kind: kind, Outcome: event.Success, Origin: from, Detail: event.Detail{By: f.by(), Actor: f.actor(), Client: c.ID, Reason: why},
	})
	f.acted(tx, clientActions[kind], event.Event{Origin: from, Detail: event.Detail{Client: c.ID}})
}
