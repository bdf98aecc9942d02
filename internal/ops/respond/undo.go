package respond

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// The faults of taking something back.
var (
	errNoWayBack = fault.New(fault.Conflict, "no_way_back", "This can't be taken back: what it ended begins anew when people sign in.")
	errNeverDone = fault.New(fault.Conflict, "never_done", "This was never done, so there is nothing to take back.")
	errUndone    = fault.New(fault.Conflict, "undone_already", "This was taken back already.")
)

// Undo takes an action back, where that makes sense: blocks and closed doors, factors that were suspended, accounts that
// were disabled. What somebody else has changed meanwhile stays as it is, and so does what another action wants that was not
// taken back. It works on closed incidents too. Broken off, it can be said again.
func (d *Desk) Undo(ctx context.Context, n int64, id, why string, by By) (a incident.Action, err error) {
	ctx, run := d.Count.Begin(ctx, "incident")
	a, err = d.undo(ctx, n, id, why, by)
	return a, run.End(err)
}

func (d *Desk) undo(ctx context.Context, n int64, id, why string, by By) (a incident.Action, err error) {
	if why, err = operate.ParseWhy(why); err != nil {
		return a, err
	}
	if a, err = d.action(ctx, n, id); err != nil {
		return a, err
	}
	about, _ := FindAbout(a.Does)
	switch {
	case about.Undo == "":
		return a, errNoWayBack
	case !a.Happened():
		return a, errNeverDone
	case a.State == incident.TakenBack:
		return a, errUndone
	case a.EndedAt.IsZero():
		return a, errStillRunning
	}
	switch a.Does {
	case Disable:
		err = d.enable(ctx, a, why, by)
	case SuspendFactors:
		err = d.reinstate(ctx, a, by)
	}
	if err != nil {
		return a, err
	}
	was := a
	a.State = incident.TakenBack
	err = d.DB.Write(ctx, func(tx *db.Tx) error { return d.takeBack(tx, n, was, a, why, by) })
	return a, err
}

// action returns an action of an incident.
func (d *Desk) action(ctx context.Context, n int64, id string) (a incident.Action, err error) {
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		i, err := incident.ByNumber(tx, n)
		if err == nil {
			a, err = incident.ActionByID(tx, i.ID, id)
		}
		return err
	})
	return a, err
}

// takeBack does what can be done at once, and notes it. Of any number at once one does.
func (d *Desk) takeBack(tx *db.Tx, n int64, was, a incident.Action, why string, by By) error {
	o, err := orderOf(a.Does, a.Wants)
	if err != nil {
		return err
	}
	switch a.Does { // install comes before all other rows
	case BlockNetworks:
		err = d.unblock(tx, a, by)
	case Lockdown:
		err = d.unlock(tx, a, o)
	}
	if err == nil {
		err = incident.Advance(tx, was, a)
	}
	if errors.Is(err, incident.ErrMoved) {
		err = errUndone
	}
	if err != nil {
		return err
	}
	i, err := incident.HoldAny(tx, n)
	if err != nil {
		return err
	}
	about, _ := FindAbout(a.Does)
	d.Operator.As(by.Who, why).Acted(tx, operate.ActUndoContain, event.Event{
		Session: by.Who.Session, Origin: by.Origin, Detail: event.Detail{Incident: i.Name()},
	})
	d.Events.Append(tx, event.Event{
		Kind: event.IncidentAction, Outcome: event.Success, Account: by.Who.Account, Session: by.Who.Session, Origin: by.Origin,
		Detail: event.Detail{Incident: i.Name(), Action: a.Does, Reason: "undone", Why: why, By: by.Who.By(), Actor: by.actor()},
	})
	return d.write(tx, i, incident.Entry{Kind: incident.Undone, Action: a.ID, Text: about.Undo + ". Reason: " + why}, by)
}

// unlock opens the doors that an action closed, as far as no other one that stands wants them closed.
func (d *Desk) unlock(tx *db.Tx, a incident.Action, o Order) error {
	if _, err := lockdown.Hold(tx); err != nil {
		return err
	}
	others, err := incident.OfKind(tx, Lockdown, a.ID)
	if err != nil {
		return err
	}
	until := map[lockdown.Door]time.Time{}
	for _, other := range others {
		if other.State == incident.TakenBack {
			continue
		}
		wants, err := orderOf(other.Does, other.Wants)
		if err != nil {
			return err
		}
		for _, door := range wants.Doors {
			if wants.Until.After(d.Now()) && wants.Until.After(until[door]) {
				until[door] = wants.Until
			}
		}
	}
	for _, door := range o.Doors {
		if err := lockdown.Shut(tx, door, until[door]); err != nil {
			return err
		}
	}
	return nil
}

// enable lets those sign in again whom the action disabled: a batch at a time, each again if it is broken off.
func (d *Desk) enable(ctx context.Context, a incident.Action, why string, by By) error {
	tell, err := d.Operator.Notices(ctx)
	if err != nil {
		return err
	}
	act := d.Operator.As(by.Who, why)
	return d.eachPerson(ctx, a, func(tx *db.Tx, id string, doneAt time.Time) error {
		is, err := account.ByID(tx, id)
		if err != nil || !is.DisabledAt.Equal(doneAt) {
			return err // enabled meanwhile, or disabled anew for a reason of its own
		}
		claims, err := incident.Claims(tx, a.Does, id, a.ID)
		if err != nil || slices.ContainsFunc(claims, func(c incident.Claim) bool { return c.DoneAt.Equal(doneAt) }) {
			return err // another action wants the same
		}
		return act.EnableIn(tx, tell, id, by.Origin)
	})
}

// eachPerson does something to all whom an action holds, and releases them, a batch in a transaction. do holds the account's
// row, and is told when the action was done to it. Who is gone is passed over.
func (d *Desk) eachPerson(ctx context.Context, a incident.Action, do func(tx *db.Tx, id string, doneAt time.Time) error) error {
	for after := ""; ; {
		var list []string
		err := d.DB.Write(ctx, func(tx *db.Tx) (err error) {
			if list, err = incident.PeopleDone(tx, a.Incident, a.ID, after, peopleBatch); err != nil {
				return err
			}
			for _, id := range list {
				if err := release(tx, a, id, do); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || len(list) == 0 {
			return err
		}
		after = list[len(list)-1]
	}
}

func release(tx *db.Tx, a incident.Action, id string, do func(tx *db.Tx, id string, doneAt time.Time) error) error {
	err := account.Hold(tx, id)
	if errors.Is(err, account.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	doneAt, err := incident.Release(tx, a, id)
	if err != nil || doneAt.IsZero() {
		return err // whoever takes it back at the same time has done it
	}
	return do(tx, id, doneAt)
}

// reinstate has the factors open accounts again that the action suspended, but for those that another one wants suspended too.
// Who reinstated their own meanwhile, or lost them by a reset, is passed over.
func (d *Desk) reinstate(ctx context.Context, a incident.Action, by By) error {
	return d.eachPerson(ctx, a, func(tx *db.Tx, id string, _ time.Time) error {
		claims, err := incident.Claims(tx, a.Does, id, a.ID)
		if err != nil {
			return err
		}
		for _, c := range claims {
			o, err := orderOf(a.Does, c.Wants)
			if err != nil {
				return err
			}
			if err := factor.HandOver(tx, id, a.BeganAt, o.Since, c.BeganAt); err != nil {
				return err
			}
		}
		n, err := factor.Reinstate(tx, id, a.BeganAt)
		if err != nil || n == 0 {
			return err
		}
		d.Events.Append(tx, event.Event{
			Kind: event.FactorsReinstated, Outcome: event.Success, Account: id, Origin: by.Origin,
			Detail: event.Detail{By: by.Who.By(), Actor: by.Who.Account, Count: n},
		})
		return nil
	})
}
