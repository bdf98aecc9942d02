package retention

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/hold"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Pause has nothing deleted for its age, and nobody erased, until a time. The reason stands
// in the event log.
func (k *Keeper) Pause(ctx context.Context, until time.Time, why string, by By) error {
	why, err := operate.ParseWhy(why)
	if err != nil {
		return err
	}
	now := k.Now()
	who := by.Account
	if who == "" {
		who = by.Origin.Actor
	}
	return k.DB.Write(ctx, func(tx *db.Tx) error {
		if err := hold.Put(tx, hold.Hold{Set: now, Until: until, Reason: why, By: who}); err != nil {
			return err
		}
		k.note(tx, event.RetentionPaused, operate.ActPause, event.Detail{Why: why, Ends: until.UTC().Format(time.RFC3339)}, by)
		return nil
	})
}

// Resume ends a pause, has retention believe the clock, and lets inactive accounts go for a day
// although a brake has stopped that.
func (k *Keeper) Resume(ctx context.Context, by By) error {
	now := k.Now()
	d := event.Detail{}
	if by.Account != "" {
		var err error
		if d.Why, err = operate.ParseWhy(by.Why); err != nil {
			return err
		}
	}
	return k.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := hold.Lift(tx, now); err != nil {
			return err
		}
		st, err := standLocked(tx, now)
		if err != nil {
			return err
		}
		st.Looked, st.Wait = now, time.Time{}
		if err := allow(tx, now); err != nil {
			return err
		}
		k.note(tx, event.RetentionResumed, operate.ActResume, d, by)
		return st.write(tx)
	})
}

// note records what somebody did to retention, and for an administrator an admin_action as well.
func (k *Keeper) note(tx *db.Tx, kind event.Kind, action string, d event.Detail, by By) {
	d.By, d.Actor = by.Who, by.Account
	e := event.Event{Kind: kind, Outcome: event.Success, Account: by.Account, Session: by.Session, Origin: by.Origin, Detail: d}
	if by.Account != "" {
		acted := e
		acted.Kind, acted.Detail.Action = event.AdminAction, action
		k.Events.Append(tx, acted)
	}
	k.Events.Append(tx, e)
}
