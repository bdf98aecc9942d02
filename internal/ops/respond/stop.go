package respond

import (
	"cmp"
	"context"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// errEnded is for an action that can't be stopped any more.
var errEnded = fault.New(fault.Conflict, "action_ended", "This action has ended already. What can be taken back, gatehouse incident undo takes back.")

// errInForce is for an action of which only the tidying is left.
var errInForce = fault.New(fault.Conflict, "action_ended",
	"Everybody whom it means is signed out already. What still goes on only tidies up behind that, and is not stopped.")

// Stop ends an action that is still being done, wherever it is: what it has done so far stays, and can be taken back as that of
// one that was done to its end. One that waits for somebody else is withdrawn.
func (d *Desk) Stop(ctx context.Context, n int64, id, why string, by By) (a incident.Action, err error) {
	ctx, run := d.Count.Begin(ctx, "incident")
	if why, err = operate.ParseWhy(why); err != nil {
		return a, run.End(err)
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		i, err := incident.ByNumber(tx, n)
		if err != nil {
			return err
		}
		was, err := incident.HoldAction(tx, i.ID, id)
		if err != nil {
			return err
		}
		if !was.EndedAt.IsZero() {
			return errEnded
		}
		if was.State == incident.Waiting {
			a, err = d.withdraw(tx, i, was, why, by)
			return err
		}
		if o, err := orderOf(was.Does, was.Wants); err != nil || o.inForce() {
			return cmp.Or(err, error(errInForce))
		}
		a = d.halted(was)
		if err := incident.Advance(tx, was, a); err != nil {
			return err
		}
		d.Operator.As(by.Who, why).Acted(tx, operate.ActStopContain, event.Event{
			Session: by.Who.Session, Origin: by.Origin, Detail: event.Detail{Incident: i.Name()},
		})
		return d.stopped(tx, i, a, why, by)
	})
	return a, run.End(err)
}

func (d *Desk) halted(a incident.Action) incident.Action {
	a.State, a.EndedAt = incident.Stopped, d.Now()
	return a
}

// stopped notes that an action was stopped, by somebody or, where that is nobody, by itself.
func (d *Desk) stopped(tx *db.Tx, i incident.Incident, a incident.Action, why string, by By) error {
	about, _ := FindAbout(a.Does)
	d.Events.Append(tx, event.Event{
		Kind: event.IncidentAction, Outcome: event.Success, Account: by.Who.Account, Session: by.Who.Session, Origin: by.Origin,
		Detail: event.Detail{Incident: i.Name(), Action: a.Does, Reason: "stopped", Why: why, Count: Touched(a.Touched).sum(), By: by.kind(), Actor: by.actor()},
	})
	return d.write(tx, i, incident.Entry{
		Kind: incident.Halted, Action: a.ID, Text: about.Text + ", stopped: " + Touched(a.Touched).String() + ". Reason: " + why,
	}, by)
}

// whyOrphaned is why an action stops by itself.
const whyOrphaned = "Whoever began it is no administrator any more."

// orphaned reports whether whoever began an action may not do such any more, or whoever approved it: an administrator who is none
// now, is disabled, or was erased.
func orphaned(tx *db.Tx, a incident.Action) (bool, error) {
	gone, err := powerless(tx, a.Actor)
	if err == nil && !gone && a.Doer() != a.Actor {
		gone, err = powerless(tx, a.Doer())
	}
	return gone, err
}

// powerless reports whether somebody who stands in the row of an action may do nothing of the kind now. The command line needs no
// account.
func powerless(tx *db.Tx, actor string) (bool, error) {
	if actor == "" {
		return true, nil
	}
	id := byActor(actor).Who.Account
	if id == "" {
		return false, nil
	}
	is, err := account.ByID(tx, id)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return true, nil
	}
	return !is.DisabledAt.IsZero() || !slices.Contains(is.Roles, account.Admin), err
}
