package operate

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/keyring"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Keys changes the ring: by the clock, by the settings at a start, and by the
// operator. What it does all replicas know within a second.
type Keys struct {
	flow.Core
	Ring    *keyring.Ring
	Revoked *token.Revocations
	// Period is how long a key signs access tokens; zero is without end.
	Period time.Duration
	// SecondApproves is as in [Operator].
	SecondApproves bool

	acting Acting
}

// As returns the keys for an administrator to change: see [Operator.As].
func (f *Keys) As(who flow.Identity, why string) *Keys {
	k := *f
	k.acting = Acting{who, why}
	return &k
}

// Why a key was rotated, in its event.
const (
	whyAge       = "age"
	whyAlgorithm = "algorithm"
	whySecret    = "secret"
	whyAsked     = "asked"
	whyRevoked   = "revoked"
)

// Leaked returns the purposes whose keys [Keys.RevokeLeaked] replaces: all but the
// outbox's, without which the mails that wait could not be read, and that of second factors, which takes
// a while to replace: see [Keys.Revoke].
func Leaked() []keyring.Purpose {
	return slices.DeleteFunc(keyring.Purposes(), func(p keyring.Purpose) bool { return p == keyring.Outbox || p == keyring.Factor })
}

// Revocable are the purposes whose keys can be revoked one by one while servers
// run, with what that costs.
var Revocable = map[keyring.Purpose]string{
	keyring.AccessSign:  "every access token that it has signed is refused; applications get new ones with their refresh tokens",
	keyring.RefreshMAC:  "every refresh token is refused, so everybody is signed out when their access token expires",
	keyring.IDSign:      "applications get the next one at the next sign-in; ID tokens that it has signed name nobody's session any more",
	keyring.IDSignES256: "the same, for applications whose ID tokens are signed with ES256",
	keyring.Request:     "whoever is on their way to an application has to begin there again",
	keyring.Factor:      "what it protects is protected by the next one first, so apps and passkeys go on working; whoever is adding an app begins anew",
	keyring.CSRF:        "who is signed in with cookies has to load the page again",
}

// ErrNotRevocable is for a key that is of use to servers that run only together
// with others.
var ErrNotRevocable = fault.New(fault.Invalid, "key_not_revocable",
	"This key can't be revoked on its own: see docs/guides/keys.md. After a leak, `gatehouse key revoke --everything` replaces every key that gives access.")

// Adopt does what the settings ask for when a server starts: where JWT_ALGORITHM
// is another than the newest key's, a key for it is published, and signs once all
// may know it. It returns that key, if it is so; and the fingerprints of older
// secrets under which nothing is sealed any more.
func (f *Keys) Adopt(ctx context.Context, algorithm string) (next keyring.Key, old []string, err error) {
	keys := f.Ring.Keys(keyring.AccessSign)
	other := keys[len(keys)-1].Algorithm != algorithm
	_, standsBy := keyring.InForce(keys, f.Now())
	if other || standsBy.ID == "" {
		err = f.change(ctx, algorithm, func(tx *db.Tx, c *keyring.Change) error {
			if c.NextAlgorithm() == algorithm {
				// Another replica was faster, or there is nothing to do but to stand by.
				_, err := c.Due(0)
				return err
			}
			if next, err = c.Rotate(false); err == nil {
				f.rotated(tx, next, whyAlgorithm, "", event.Origin{})
			}
			return err
		})
		if err != nil {
			return next, nil, err
		}
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		if old, err = f.Ring.Unseal(tx); err == nil && len(old) > 0 {
			f.Events.Append(tx, event.Event{Kind: event.KeyRotated, Outcome: event.Success, Detail: event.Detail{Reason: whySecret}})
		}
		return err
	})
	return next, old, err
}

// Due is the job: it replaces the keys that have signed for the period, and deletes
// those that have long been good for nothing.
func (f *Keys) Due(ctx context.Context) error {
	if !f.Ring.Due(f.Now(), f.Period) {
		return nil
	}
	return f.change(ctx, "", func(tx *db.Tx, c *keyring.Change) error {
		next, err := c.Due(f.Period)
		if err != nil {
			return err
		}
		for _, k := range next {
			f.rotated(tx, k, whyAge, "", event.Origin{})
		}
		return nil
	})
}

// List returns all keys of the ring.
func (f *Keys) List() []keyring.Key {
	var out []keyring.Key
	for _, p := range keyring.Purposes() {
		out = append(out, f.Ring.Keys(p)...)
	}
	return out
}

// Rotate has the next key sign access tokens, and returns it with the time from
// which it does: see [keyring.Change.Rotate]. Nobody notices.
func (f *Keys) Rotate(ctx context.Context, atOnce bool, from event.Origin) (next keyring.Key, err error) {
	err = f.change(ctx, "", func(tx *db.Tx, c *keyring.Change) error {
		if next, err = c.Rotate(atOnce); err == nil {
			f.rotated(tx, next, whyAsked, f.acting.Who.By(), from)
		}
		return err
	})
	return next, err
}

// Revoke ends keys by their names: what they signed is refused at once, and
// another key takes over. It returns those that were not revoked before. A key of second factors is
// revoked after what it has made is made anew by the next one, which takes a second step from nobody.
func (f *Keys) Revoke(ctx context.Context, names []string, from event.Origin) (revoked []keyring.Key, err error) {
	if f.SecondApproves {
		return nil, ErrApproval
	}
	if err := f.replaceFactorKey(ctx, names); err != nil {
		return nil, err
	}
	err = f.change(ctx, "", func(tx *db.Tx, c *keyring.Change) error {
		if revoked, err = f.revoke(tx, c, names, from); err != nil {
			return err
		}
		for _, k := range revoked {
			if _, ok := Revocable[k.Purpose]; !ok {
				return ErrNotRevocable
			}
			if k.Purpose == keyring.Factor {
				err = factor.VoidOffers(tx)
			}
		}
		return err
	})
	return revoked, err
}

// RevokeLeaked ends every key that is of use to somebody who has it, as after a
// leak of JWT_SECRET_KEY together with the database or a backup: everybody is
// signed out. What tells people apart who guess passwords, and the like, servers
// that run take up when they are restarted.
func (f *Keys) RevokeLeaked(ctx context.Context, from event.Origin) (revoked []keyring.Key, err error) {
	if f.SecondApproves {
		return nil, ErrApproval
	}
	err = f.change(ctx, "", func(tx *db.Tx, c *keyring.Change) error {
		var names []string
		for _, p := range Leaked() {
			for _, k := range c.Keys[p] {
				names = append(names, k.Name)
			}
		}
		if revoked, err = f.revoke(tx, c, names, from); err == nil {
			f.Revoked.EndBefore(tx, time.Time{})
		}
		return err
	})
	return revoked, err
}

// RevokePurposes ends all keys of some purposes: as [Keys.RevokeLeaked] does for every purpose, and everybody's sessions with them if
// those of refresh tokens are among them. first is what is done before, in the same transaction.
func (f *Keys) RevokePurposes(ctx context.Context, purposes []keyring.Purpose, first func(tx *db.Tx) error, from event.Origin) (
	revoked []keyring.Key, err error,
) {
	err = f.change(ctx, "", func(tx *db.Tx, c *keyring.Change) error {
		if err := first(tx); err != nil {
			return err
		}
		var names []string
		for _, p := range purposes {
			for _, k := range c.Keys[p] {
				names = append(names, k.Name)
			}
		}
		if revoked, err = f.revoke(tx, c, names, from); err == nil && slices.Contains(purposes, keyring.RefreshMAC) {
			f.Revoked.EndBefore(tx, time.Time{})
		}
		return err
	})
	return revoked, err
}

func (f *Keys) revoke(tx *db.Tx, c *keyring.Change, names []string, from event.Origin) ([]keyring.Key, error) {
	revoked, err := c.Revoke(names...)
	if err != nil {
		return nil, err
	}
	for _, k := range revoked {
		if k.Purpose == keyring.AccessSign {
			f.Revoked.EndKey(tx, k.Name)
		}
		f.rotated(tx, k, whyRevoked, f.acting.Who.By(), from)
	}
	return revoked, nil
}

// rotated records what happened to a key.
func (f *Keys) rotated(tx *db.Tx, k keyring.Key, why, by string, from event.Origin) {
	d := event.Detail{Reason: why, By: by, Key: k.Name, Purpose: string(k.Purpose)}
	if a := f.acting; by != "" && a.Who.Account != "" {
		recordAction(f.Events, tx, ActRotateKey, a, event.Event{Origin: from, Detail: d})
		d.Actor = a.Who.Account
	}
	f.Events.Append(tx, event.Event{Kind: event.KeyRotated, Outcome: event.Success, Origin: from, Detail: d})
}

// change makes the keys that may be needed, which can take seconds, and then
// changes the ring in one transaction. A key for ID tokens is made only once the
// change turns out to need it: then all of it is done anew, so fn may be called
// twice.
func (f *Keys) change(ctx context.Context, algorithm string, fn func(tx *db.Tx, c *keyring.Change) error) error {
	fresh, err := f.Ring.Generate(algorithm)
	if err != nil {
		return err
	}
	write := func() error {
		return f.DB.Write(ctx, func(tx *db.Tx) error {
			return f.Ring.Change(tx, fresh, f.Now(), func(c *keyring.Change) error { return fn(tx, c) })
		})
	}
	err = write()
	if errors.Is(err, keyring.ErrNoIDSign) {
		if fresh.IDSign, err = f.Ring.GenerateIDSign(); err == nil {
			err = write()
		}
	}
	return err
}
