package flow

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
)

// Unlock makes the browser of whoever could read the mail about a lockout a known
// device: strangers' guesses keep it out no longer. The password is still needed,
// and nothing is reset.
type Unlock struct {
	Core
	Lockout *lockout.Store
}

// Do uses the link's token and returns the device's cookie, or lockout.ErrLink.
func (f *Unlock) Do(ctx context.Context, token string, from event.Origin) (c DeviceCookie, err error) {
	if token == "" {
		return c, f.Count.End("unlock", Required("token"))
	}
	ctx, run := f.Count.Begin(ctx, "unlock")
	now := f.Now()
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		account, name, value, err := f.Lockout.UseLink(tx, token, now)
		if err != nil {
			return err
		}
		c = DeviceCookie{Name: name, Value: value, Life: lockout.DeviceLife}
		f.Events.Append(tx, event.Event{Kind: event.DeviceKnown, Outcome: event.Success, Account: account, Origin: from, Detail: event.Detail{By: "unlock_link"}})
		return nil
	})
	return c, run.End(err)
}
