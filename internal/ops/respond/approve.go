package respond

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/block"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockdown"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

const (
	// approvalLife is how long an order waits for somebody else: what it would touch is another thing the day after.
	approvalLife = 4 * time.Hour
	// fewPeople is how many accounts one person may disable in one action.
	fewPeople = 10
)

// The faults of approving.
var (
	errNotWaiting = fault.New(fault.Conflict, "not_waiting", "This does not wait for anybody: it was approved or withdrawn, has expired, or needs no approval.")
	errOwnOrder   = fault.New(fault.Conflict, "own_order", "You have ordered this yourself. Somebody else has to approve it.")
	errVoid       = fault.New(fault.Conflict, "order_void",
		"Whoever ordered this is no administrator any more, or nobody whom it names is left: it counts nothing. Withdraw it, and order it anew if it is still right.")
)

// Waits reports whether an order waits for somebody else.
func (d *Desk) Waits(o Order) bool { return d.Operator.SecondApproves && o.grave() }

// grave reports whether an order is one of the gravest: it reaches everybody, or very many, or what it ends does not come back.
func (o Order) grave() bool {
	switch o.Does {
	case RotateKeys, RotateSecret:
		return true
	case Lockdown:
		return slices.Contains(o.Doors, lockdown.SignIn)
	case EndSessions:
		return len(o.Users) == 0 && o.which().Grave()
	case Disable:
		return len(o.Users) > fewPeople || len(o.Networks) > 0
	}
	return o.All || slices.ContainsFunc(o.Networks, block.Wide)
}

// ask notes an order for somebody else to approve.
func (d *Desk) ask(ctx context.Context, n int64, o Order, by By) (a incident.Action, err error) {
	if o.Does == BlockNetworks {
		if _, err := d.blocksOf(o); err != nil {
			return a, err
		}
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		people, err := o.people(tx)
		if err != nil {
			return err
		}
		if o.Does == RotateSecret {
			if _, err := client.Find(tx, o.Client, d.Now()); err != nil {
				return err
			}
		}
		now := d.Now()
		a = incident.Action{State: incident.Waiting, BeganAt: now, ExpiresAt: db.Time(db.Micros(now.Add(approvalLife)))}
		if a, err = d.prepare(tx, n, o, a, by); err != nil {
			return err
		}
		return d.name(tx, a, people)
	})
	return a, err
}

// asked makes the row of an order that waits.
func (d *Desk) asked(tx *db.Tx, i incident.Incident, o Order, a incident.Action, by By) (incident.Action, error) {
	a, err := incident.Begin(tx, d.Random, a)
	if err != nil {
		return a, err
	}
	about, _ := FindAbout(o.Does)
	d.record(tx, event.IncidentAction, operate.ActContain, event.Detail{Incident: i.Name(), Action: o.Does, Reason: "asked", Why: o.Why}, by)
	text := about.Text + ": " + o.text() + ". It waits for somebody else until " + stamp(a.ExpiresAt) + ". Reason: " + o.Why
	return a, d.write(tx, i, incident.Entry{Kind: incident.AskedFor, Action: a.ID, Text: text}, by)
}

// approval is that somebody approves an action, and why.
type approval struct{ action, why string }

// Approve has an action done that waits for somebody else than who ordered it, as [Desk.Contain] does what waits for nobody. Of any
// number at once one does.
func (d *Desk) Approve(ctx context.Context, n int64, id, why string, by By) (done Done, err error) {
	ctx, run := d.Count.Begin(ctx, "incident")
	done, err = d.approve(ctx, n, id, why, by)
	return done, run.End(err)
}

func (d *Desk) approve(ctx context.Context, n int64, id, why string, by By) (done Done, err error) {
	if why, err = operate.ParseWhy(why); err != nil {
		return done, err
	}
	_, o, err := d.waiting(ctx, n, id)
	if err != nil {
		return done, err
	}
	o.approves.why = why
	return d.carryOut(ctx, n, o, by)
}

// waiting returns an action that waits, and what is to be done once somebody approves it.
func (d *Desk) waiting(ctx context.Context, n int64, id string) (a incident.Action, o Order, err error) {
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		i, err := incident.ByNumber(tx, n)
		if err != nil {
			return err
		}
		if a, err = incident.ActionByID(tx, i.ID, id); err != nil {
			return err
		}
		if o, err = orderOf(a.Does, a.Wants); err != nil {
			return err
		}
		o.Users, err = incident.People(tx, i.ID, id, "", mostUsers)
		return err
	})
	if err != nil {
		return a, o, err
	}
	if a.State != incident.Waiting {
		return a, o, errNotWaiting
	}
	// Who ordered it was asked about their blocks already.
	o.Why, o.Confirmed, o.approves = a.Why, true, &approval{action: a.ID}
	if o.check(d.Now()) != nil {
		return a, o, errVoid
	}
	return a, o, nil
}

// PreviewWaiting counts what an action would touch now that waits for somebody else.
func (d *Desk) PreviewWaiting(ctx context.Context, n int64, id string) (a incident.Action, p Preview, err error) {
	ctx, run := d.Count.Begin(ctx, "incidents")
	a, o, err := d.waiting(ctx, n, id)
	if err == nil {
		p, err = d.preview(ctx, o)
	}
	return a, p, run.End(err)
}

// approved has an action begin that waited.
func (d *Desk) approved(tx *db.Tx, i incident.Incident, ap approval, a incident.Action, by By) (incident.Action, error) {
	was, err := incident.HoldAction(tx, i.ID, ap.action)
	if err == nil {
		err = d.mayApprove(tx, was, by)
	}
	if err != nil {
		return a, err
	}
	a.ID, a.Actor, a.ExpiresAt, a.ApprovedBy = was.ID, was.Actor, was.ExpiresAt, by.actor()
	if a.Touched == nil {
		a.Touched = Touched{}
	}
	if err := incident.Approve(tx, a); err != nil {
		return a, err
	}
	about, _ := FindAbout(a.Does)
	d.record(tx, event.IncidentAction, operate.ActApprove, event.Detail{Incident: i.Name(), Action: a.Does, Reason: "approved", Why: ap.why}, by)
	return a, d.write(tx, i, incident.Entry{Kind: incident.Approved, Action: a.ID, Text: about.Text + ", approved. Reason: " + ap.why}, by)
}

// mayApprove refuses who may not approve an action: its row is held. What they may counts as it is now, and not as their token says.
func (d *Desk) mayApprove(tx *db.Tx, a incident.Action, by By) error {
	if a.State != incident.Waiting || !a.ExpiresAt.After(d.Now()) {
		return errNotWaiting
	}
	if samePerson(a.Actor, by.actor()) {
		return errOwnOrder
	}
	if by.Who.Account != "" {
		if err := account.Hold(tx, by.Who.Account); err != nil && !errors.Is(err, account.ErrNotFound) {
			return err
		}
	}
	gone, err := powerless(tx, by.actor())
	if err == nil && gone {
		return operate.ErrNotAdministrator
	}
	if err != nil {
		return err
	}
	if gone, err = powerless(tx, a.Actor); err == nil && gone {
		return errVoid
	}
	return err
}

// samePerson reports whether two who stand in rows may be one person: an account, or a system user, on whichever machine. Behind sudo
// it is who called it; but what sudo has set anybody can set, so whoever runs as the other's own user is the other as well.
func samePerson(a, b string) bool {
	userA, personA := whoIs(a)
	userB, personB := whoIs(b)
	return personA == personB || userA == personB || userB == personA
}

// whoIs reads a system user's name and, behind sudo, the name of who called it.
func whoIs(actor string) (user, person string) {
	name, by, sudo := strings.Cut(actor, " (sudo by ")
	user, _, _ = strings.Cut(name, "@")
	if sudo {
		return user, strings.TrimSuffix(by, ")")
	}
	return user, user
}

// withdraw ends an action that waits, whose row is held.
func (d *Desk) withdraw(tx *db.Tx, i incident.Incident, was incident.Action, why string, by By) (incident.Action, error) {
	d.Operator.As(by.Who, why).Acted(tx, operate.ActStopContain, event.Event{
		Session: by.Who.Session, Origin: by.Origin, Detail: event.Detail{Incident: i.Name()},
	})
	return d.givenUp(tx, i, was, incident.Withdrawn, why, by)
}

// givenUp notes that nobody does what waited. Whom it named, the incident does not touch for that.
func (d *Desk) givenUp(tx *db.Tx, i incident.Incident, was incident.Action, state incident.State, why string, by By) (incident.Action, error) {
	a := was
	a.State, a.EndedAt = state, d.Now()
	if err := incident.Advance(tx, was, a); err != nil {
		return a, err
	}
	if err := incident.Forget(tx, a); err != nil {
		return a, err
	}
	d.Events.Append(tx, event.Event{
		Kind: event.IncidentAction, Outcome: event.Success, Account: by.Who.Account, Session: by.Who.Session, Origin: by.Origin,
		Detail: event.Detail{Incident: i.Name(), Action: a.Does, Reason: string(state), Why: why, By: by.kind(), Actor: by.actor()},
	})
	about, _ := FindAbout(a.Does)
	return a, d.write(tx, i, incident.Entry{Kind: incident.GivenUp, Action: a.ID, Text: about.Text + ", " + string(state) + ". Reason: " + why}, by)
}

// giveUpOverdue gives up what nobody approved in time.
func (d *Desk) giveUpOverdue(ctx context.Context) error {
	var list []incident.Action
	err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = incident.Overdue(tx, d.Now(), unfinishedMost)
		return err
	})
	if err != nil || len(list) == 0 {
		return err
	}
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		for _, a := range list {
			was, err := incident.HoldAction(tx, a.Incident, a.ID)
			if err != nil {
				return err
			}
			if was.State != incident.Waiting {
				continue // somebody was faster
			}
			i, err := incident.ByID(tx, a.Incident)
			if err != nil {
				return err
			}
			if _, err := d.givenUp(tx, i, was, incident.Expired, "Nobody approved it in time.", By{}); err != nil {
				return err
			}
		}
		return nil
	})
}
