package respond

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strconv"
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

// Done is what came of an order.
type Done struct {
	incident.Action
	// Secret is an application's new one: it is shown once.
	Secret string
}

// Contain does what an order says. What takes long may go on in the background when it returns: then the action has no
// end yet, and [Desk.Continue] does the rest. What is to be in force at once is.
func (d *Desk) Contain(ctx context.Context, n int64, o Order, by By) (done Done, err error) {
	ctx, run := d.Count.Begin(ctx, "incident")
	done, err = d.contain(ctx, n, o, by)
	return done, run.End(err)
}

func (d *Desk) contain(ctx context.Context, n int64, o Order, by By) (done Done, err error) {
	if o.Why, err = operate.ParseWhy(o.Why); err != nil {
		return done, err
	}
	if err = o.check(d.Now()); err != nil {
		return done, err
	}
	if o.approves == nil && d.Waits(o) {
		done.Action, err = d.ask(ctx, n, o, by)
		return done, err
	}
	return d.carryOut(ctx, n, o, by)
}

// carryOut does what was checked, and approved where somebody has to.
func (d *Desk) carryOut(ctx context.Context, n int64, o Order, by By) (done Done, err error) {
	switch o.Does {
	case RotateKeys:
		return d.rotateKeys(ctx, n, o, by)
	case RotateSecret:
		return d.rotateSecret(ctx, n, o, by)
	}
	var blocks []block.Block
	if o.Does == BlockNetworks {
		if blocks, err = d.blocksOf(o); err != nil {
			return done, err
		}
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		switch o.Does {
		case BlockNetworks:
			done.Action, err = d.block(tx, n, o, blocks, by)
		case Lockdown:
			done.Action, err = d.lock(tx, n, o, by)
		default:
			done.Action, err = d.begin(tx, n, o, by)
		}
		return err
	})
	if err != nil {
		return done, err
	}
	done.Action, err = d.goOn(ctx, done.Action, by)
	return done, err
}

// prepare makes the row of an action, with its line in the timeline and its event.
func (d *Desk) prepare(tx *db.Tx, n int64, o Order, a incident.Action, by By) (incident.Action, error) {
	i, err := incident.Hold(tx, n)
	if err != nil {
		return a, err
	}
	wants, err := json.Marshal(o)
	if err != nil {
		return a, err
	}
	a.Incident, a.Does, a.Wants, a.Why, a.Actor = i.ID, o.Does, wants, o.Why, by.actor()
	switch {
	case o.approves != nil:
		a, err = d.approved(tx, i, *o.approves, a, by)
	case a.State == incident.Waiting:
		a, err = d.asked(tx, i, o, a, by)
	default:
		a, err = d.ordered(tx, i, o, a, by)
	}
	if err != nil || a.EndedAt.IsZero() {
		return a, err
	}
	return a, d.ended(tx, i, a, by)
}

// ordered makes the row.
func (d *Desk) ordered(tx *db.Tx, i incident.Incident, o Order, a incident.Action, by By) (incident.Action, error) {
	a, err := incident.Begin(tx, d.Random, a)
	if err != nil {
		return a, err
	}
	about, _ := FindAbout(o.Does)
	d.record(tx, event.IncidentAction, operate.ActContain, event.Detail{Incident: i.Name(), Action: o.Does, Why: o.Why}, by)
	text := about.Text + ": " + o.text() + ". Reason: " + o.Why
	return a, d.write(tx, i, incident.Entry{Kind: incident.Acted, Action: a.ID, Text: text}, by)
}

// ended notes what an action has touched.
func (d *Desk) ended(tx *db.Tx, i incident.Incident, a incident.Action, by By) error {
	touched := Touched(a.Touched)
	about, _ := FindAbout(a.Does)
	d.Events.Append(tx, event.Event{
		Kind: event.IncidentAction, Outcome: event.Success, Origin: by.Origin,
		Detail: event.Detail{Incident: i.Name(), Action: a.Does, Reason: "done", Count: touched.sum(), By: by.kind(), Actor: a.Doer()},
	})
	if err := incident.Set(tx, i.ID, incident.Contained, d.Now()); err != nil {
		return err
	}
	return d.write(tx, i, incident.Entry{Kind: incident.Ended, Action: a.ID, Text: about.Text + ", done: " + touched.String() + "."}, by)
}

// begin is for what takes many transactions: whom it is about is noted, and what can be in force at once is.
func (d *Desk) begin(tx *db.Tx, n int64, o Order, by By) (a incident.Action, err error) {
	a = incident.Action{State: incident.Running, BeganAt: db.Time(db.Micros(d.Now()))}
	if len(o.Networks) > 0 && o.Does != EndSessions {
		a.State = incident.Finding
	}
	people, err := o.people(tx)
	if err != nil {
		return a, err
	}
	if o.Does == EndGrants {
		c, err := client.Find(tx, o.Client, d.Now())
		if err != nil {
			return a, err
		}
		o.Client = c.Name
	}
	if o.Does == EndSessions && len(o.Users) == 0 && o.which().Everybody() {
		// In force at once: what follows tidies up.
		o.Before = d.Operator.As(by.Who, o.Why).CutOff(tx, o.which(), by.Origin)
	}
	if a, err = d.prepare(tx, n, o, a, by); err != nil {
		return a, err
	}
	return a, d.name(tx, a, people)
}

// people are the accounts that an order names.
func (o Order) people(tx *db.Tx) (ids []string, err error) {
	for _, user := range o.Users {
		a, err := account.Find(tx, user)
		if errors.Is(err, account.ErrNotFound) && o.approves != nil {
			continue // it was erased while the order waited
		}
		if errors.Is(err, account.ErrNotFound) {
			return nil, fault.Field("users", "account_not_found", "There is no account %s.", user)
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, a.ID)
	}
	return ids, nil
}

// name notes that an action is about accounts.
func (d *Desk) name(tx *db.Tx, a incident.Action, ids []string) error {
	for _, id := range ids {
		if _, err := incident.AddPerson(tx, a.Incident, a.ID, id, d.Now()); err != nil {
			return err
		}
	}
	return nil
}

// lock closes doors. One that is closed for longer already stays so.
func (d *Desk) lock(tx *db.Tx, n int64, o Order, by By) (incident.Action, error) {
	now := d.Now()
	o.Until = db.Time(db.Micros(now.Add(o.For)))
	was, err := lockdown.Hold(tx)
	if err != nil {
		return incident.Action{}, err
	}
	for _, door := range o.Doors {
		if was.Of(door).After(o.Until) {
			continue
		}
		if err := lockdown.Shut(tx, door, o.Until); err != nil {
			return incident.Action{}, err
		}
	}
	return d.prepare(tx, n, o, incident.Action{
		State: incident.Finished, BeganAt: now, EndedAt: now, Touched: Touched{"doors": int64(len(o.Doors))},
	}, by)
}

func (d *Desk) rotateKeys(ctx context.Context, n int64, o Order, by By) (done Done, err error) {
	keys, err := d.Keys(ctx)
	if err != nil {
		return done, err
	}
	_, err = keys.As(by.Who, o.Why).RevokePurposes(ctx, o.purposes(), func(tx *db.Tx) error {
		now := d.Now()
		done.Action, err = d.prepare(tx, n, o, incident.Action{
			State: incident.Finished, BeganAt: now, EndedAt: now, Touched: Touched{"keys": int64(len(o.purposes()))},
		}, by)
		return err
	}, by.Origin)
	return done, err
}

func (d *Desk) rotateSecret(ctx context.Context, n int64, o Order, by By) (done Done, err error) {
	_, done.Secret, err = d.Operator.As(by.Who, o.Why).ReplaceSecret(ctx, o.Client, func(tx *db.Tx, c client.Client) error {
		now := d.Now()
		o.Client = c.Name
		done.Action, err = d.prepare(tx, n, o, incident.Action{State: incident.Finished, BeganAt: now, EndedAt: now, Touched: Touched{"secrets": 1}}, by)
		return err
	}, by.Origin)
	return done, err
}

// budget is how long an action is done while somebody waits for it; the rest goes on in the background.
const budget = 5 * time.Second

// goOn does an action batch by batch, until it is done, or time is up for whoever waits.
func (d *Desk) goOn(ctx context.Context, a incident.Action, by By) (incident.Action, error) {
	began := d.Now()
	_, limited := ctx.Deadline()
	for a.EndedAt.IsZero() && !(limited && d.Now().Sub(began) > budget) {
		next, err := d.batch(ctx, a, by)
		if errors.Is(err, incident.ErrMoved) {
			if next, err = d.reread(ctx, a); err != nil {
				return a, err
			}
			a = next
			continue
		}
		if errors.Is(err, errLater) {
			return a, nil
		}
		if err != nil {
			return a, err
		}
		a = next
	}
	return a, nil
}

func (d *Desk) reread(ctx context.Context, a incident.Action) (is incident.Action, err error) {
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		is, err = incident.ActionByID(tx, a.Incident, a.ID)
		return err
	})
	return is, err
}

// unfinishedMost is how many actions one look goes on with.
const unfinishedMost = 20

// Continue goes on with actions that were not done to their end: by a command that was killed, or that did not wait.
func (d *Desk) Continue(ctx context.Context) error {
	if err := d.giveUpOverdue(ctx); err != nil {
		return err
	}
	var list []incident.Action
	err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = incident.Unfinished(tx, unfinishedMost)
		return err
	})
	for _, a := range list {
		_, goErr := d.finish(ctx, a)
		err = errors.Join(err, goErr)
	}
	return err
}

// finish goes on with an action to its end, in the name of who began it.
func (d *Desk) finish(ctx context.Context, a incident.Action) (incident.Action, error) {
	by := byActor(a.Doer())
	for a.EndedAt.IsZero() && a.State != incident.Waiting && ctx.Err() == nil {
		next, err := d.batch(ctx, a, by)
		if errors.Is(err, incident.ErrMoved) {
			next, err = d.reread(ctx, a)
		}
		if errors.Is(err, errLater) {
			return a, nil
		}
		if err != nil {
			return a, err
		}
		a = next
	}
	return a, ctx.Err()
}

// Resume goes on with what of an incident's actions was not done to its end, and returns how many those were.
func (d *Desk) Resume(ctx context.Context, n int64) (done []incident.Action, err error) {
	s, err := d.Show(ctx, n)
	if err != nil {
		return nil, err
	}
	for _, a := range s.Actions {
		if a.EndedAt.IsZero() {
			if a, err = d.finish(ctx, a); err != nil {
				return done, err
			}
			if !a.EndedAt.IsZero() {
				done = append(done, a)
			}
		}
	}
	return done, nil
}

// advanced returns an action that has touched more, and stands at another place.
func advanced(a incident.Action, place string, more Touched) incident.Action {
	touched := maps.Clone(a.Touched)
	for k, n := range more {
		touched[k] += n
	}
	a.Touched, a.Place = touched, place
	return a
}

// round returns the place after one that counts.
func round(place string) string {
	n, _ := strconv.Atoi(place)
	return strconv.Itoa(n + 1)
}
