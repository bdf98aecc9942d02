package operate

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Operations is what administrators see of what runs the service, and do to it.
type Operations struct {
	flow.Core
	Operator *Operator
	Overview *Overview
	Keys     *Keys
	// Settings are those in force, with secrets covered.
	Settings []Setting
}

// Setting is one in force.
type Setting struct {
	Name string `json:"name"`
	// Value is what is in force, a secret covered; Source where it came from.
	Value  string `json:"value"`
	Source string `json:"source"`
	// Default is what is in force where it is not set.
	Default string `json:"default"`
	// Secret is whether the value, or its password, is covered.
	Secret bool `json:"secret"`
}

// Clients returns the registered applications.
func (f *Operations) Clients(ctx context.Context) ([]client.Client, error) {
	ctx, run := f.Count.Begin(ctx, "operations")
	list, err := f.Operator.Clients(ctx)
	return list, run.End(err)
}

// Client returns one of them.
func (f *Operations) Client(ctx context.Context, id string) (client.Client, error) {
	ctx, run := f.Count.Begin(ctx, "operations")
	c, err := f.Operator.Client(ctx, id)
	return c, run.End(err)
}

// AddClient registers an application, and returns its secret.
func (f *Operations) AddClient(ctx context.Context, name string, kind client.Type, settings client.Settings, why string, who flow.Identity,
	from event.Origin,
) (c client.Client, shown string, err error) {
	ctx, run := f.Count.Begin(ctx, "act")
	if why, err = ParseWhy(why); err == nil {
		c, shown, err = f.Operator.As(who, why).RegisterClient(ctx, name, kind, settings, from)
	}
	return c, shown, run.End(err)
}

// ChangeClient changes what an application may do, and whether it is refused, as far as either is given. shown is what the actor was
// shown of the settings ([Shown]); empty for who was not.
func (f *Operations) ChangeClient(ctx context.Context, id string, settings *client.Settings, shown string, disabled *bool, why string,
	who flow.Identity, from event.Origin,
) (c client.Client, err error) {
	ctx, run := f.Count.Begin(ctx, "act")
	if why, err = ParseWhy(why); err != nil {
		return c, run.End(err)
	}
	o := f.Operator.As(who, why)
	if c, err = o.Client(ctx, id); err == nil && settings != nil {
		c, err = o.Over(shown).SetClient(ctx, id, func(client.Settings) client.Settings { return *settings }, from)
	}
	if err == nil && disabled != nil {
		c, err = o.DisableClient(ctx, id, *disabled, from)
	}
	return c, run.End(err)
}

// RotateClient gives an application a new secret; the old one goes on for a while.
func (f *Operations) RotateClient(ctx context.Context, id string, keep time.Duration, why string, who flow.Identity, from event.Origin) (
	c client.Client, shown string, err error,
) {
	ctx, run := f.Count.Begin(ctx, "act")
	if why, err = ParseWhy(why); err == nil {
		c, shown, err = f.Operator.As(who, why).RotateClient(ctx, id, f.Now().Add(keep), from)
	}
	return c, shown, run.End(err)
}

// RemoveClient takes an application away.
func (f *Operations) RemoveClient(ctx context.Context, id, why string, who flow.Identity, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "act")
	why, err := ParseWhy(why)
	if err == nil {
		_, err = f.Operator.As(who, why).DeleteClient(ctx, id, from)
	}
	return run.End(err)
}

// RotateKey has the next key sign access tokens. Nobody is signed out.
func (f *Operations) RotateKey(ctx context.Context, atOnce bool, why string, who flow.Identity, from event.Origin) (k KeyStands, err error) {
	ctx, run := f.Count.Begin(ctx, "act")
	if why, err = ParseWhy(why); err != nil {
		return k, run.End(err)
	}
	next, err := f.Keys.As(who, why).Rotate(ctx, atOnce, from)
	return KeyStands{Key: next, State: KeyNext}, run.End(err)
}

// Mails returns the newest rows of the outbox before the one of an id, and whether there
// are more.
func (f *Operations) Mails(ctx context.Context, before string, dead bool, limit int) (list []notice.Entry, more bool, err error) {
	ctx, run := f.Count.Begin(ctx, "operations")
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		list, err = notice.Page(tx, before, dead, limit+1)
		return err
	})
	if more = len(list) > limit; more {
		list = list[:limit]
	}
	return list, more, run.End(err)
}

// RetryMail makes a mail due at once.
func (f *Operations) RetryMail(ctx context.Context, id string, who flow.Identity, from event.Origin) error {
	ctx, run := f.Count.Begin(ctx, "act")
	return run.End(f.Operator.As(who, "").RetryMail(ctx, id, from))
}

// RetryDeadMails makes all due at once that were given up, and returns how many.
func (f *Operations) RetryDeadMails(ctx context.Context, who flow.Identity, from event.Origin) (int64, error) {
	ctx, run := f.Count.Begin(ctx, "act")
	n, err := f.Operator.As(who, "").RetryDeadMails(ctx, from)
	return n, run.End(err)
}

// KeyState is what a key of the installation does now.
type KeyState string

// The states of a key.
const (
	KeySigns   KeyState = "signing"
	KeyNext    KeyState = "next"
	KeyChecks  KeyState = "checks_only"
	KeyRetired KeyState = "retired"
	KeyRevoked KeyState = "revoked"
)

// KeyStands is a key with what it does, and until when what it made is good; zero where
// that has no end yet.
type KeyStands struct {
	keyring.Key
	State KeyState
	Until time.Time
}

// Standing returns all keys with what they do.
func (f *Keys) Standing() (list []KeyStands) {
	now := f.Now()
	for _, p := range keyring.Purposes() {
		all := f.Ring.Keys(p)
		signs, next := keyring.InForce(all, now)
		for _, k := range all {
			k.Material = nil
			one := KeyStands{Key: k, State: KeyChecks}
			_, one.Until = keyring.Replaced(all, k)
			switch {
			case !k.RevokedAt.IsZero():
				one.State = KeyRevoked
			case k.ID == signs.ID:
				one.State = KeySigns
			case k.ID == next.ID || k.From.After(now):
				one.State = KeyNext
			case !one.Until.IsZero() && one.Until.Before(now):
				one.State = KeyRetired
			}
			list = append(list, one)
		}
	}
	return list
}
