package respond

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/google/uuid"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/lockout"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// How much one transaction does: rows that are looked at or deleted, and people to whom something is done.
const (
	lookBatch   = 500
	peopleBatch = 50
)

// Pace is how much one transaction of an action does: rows that are looked at, and people to whom something is done. Zero is
// what does for any database.
type Pace struct{ Look, People int }

func (p Pace) look() int { return cmp.Or(p.Look, lookBatch) }

func (p Pace) people() int { return cmp.Or(p.People, peopleBatch) }

// byActor is in whose name an action goes on that they began: an administrator's, whose account's id is in its row, or an
// operator's.
func byActor(actor string) By {
	if uuid.Validate(actor) == nil {
		return By{Who: flow.Identity{Account: actor, Roles: []string{account.Admin}}}
	}
	return By{Origin: event.Origin{Actor: actor}}
}

// worker does one batch.
type worker struct {
	*Desk
	a     incident.Action
	o     Order
	by    By
	act   *operate.Operator
	links *flow.EmailLinks
	tell  *flow.Notices
}

// batch does the next batch of an action in one transaction, and returns how it stands then.
func (d *Desk) batch(ctx context.Context, a incident.Action, by By) (is incident.Action, err error) {
	w := &worker{Desk: d, a: a, by: by, act: d.Operator.As(by.Who, a.Why)}
	if w.o, err = orderOf(a.Does, a.Wants); err != nil {
		return a, err
	}
	switch a.Does {
	case ResetPasswords:
		w.links, err = d.Operator.EmailLinks(ctx)
	case Disable, Notify:
		w.tell, err = d.Operator.Notices(ctx)
	}
	if err != nil {
		return a, err
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		if w.by.Who.Account != "" && (a.Does == SuspendFactors || a.Does == Disable) {
			// Who may act on administrators is asked for each account, and this row comes before all others.
			if err := account.HoldAdmins(tx); err != nil {
				return err
			}
		}
		// The place first, and once more at the end: whoever else goes on with the action waits here, and finds it moved.
		if err := incident.Advance(tx, a, a); err != nil {
			return err
		}
		alone := false
		if !w.o.inForce() {
			if alone, err = orphaned(tx, a); err != nil {
				return err
			}
		}
		if is = d.halted(a); !alone {
			is, err = w.step(tx)
		}
		if err != nil {
			return err
		}
		if err := incident.Advance(tx, a, is); err != nil {
			return err
		}
		if is.EndedAt.IsZero() {
			return nil
		}
		i, err := incident.ByID(tx, is.Incident)
		if err != nil {
			return err
		}
		if alone {
			return d.stopped(tx, i, is, whyOrphaned, By{})
		}
		return d.ended(tx, i, is, by)
	})
	if err != nil {
		return a, err
	}
	return is, nil
}

// step does the next batch, whatever it is.
func (w *worker) step(tx *db.Tx) (incident.Action, error) {
	switch {
	case w.a.State == incident.Finding && w.a.Does == Notify:
		return w.unnotified(tx)
	case w.a.State == incident.Finding:
		return w.find(tx)
	case w.a.Does == EndSessions && !w.named():
		return w.endSessions(tx)
	case w.a.Does == EndGrants:
		return w.endGrants(tx)
	case w.a.Does == VoidLinks && w.o.All:
		return w.voidAll(tx)
	case w.o.All:
		return w.everybody(tx)
	}
	return w.people(tx)
}

// named reports whether the order named people.
func (w *worker) named() bool {
	return !w.o.All && len(w.o.Networks) == 0 && w.o.Device == "" && w.o.Before.IsZero()
}

func (w *worker) finished(a incident.Action) incident.Action {
	a.State, a.EndedAt = incident.Finished, w.Now()
	return a
}

// find notes the people of the next sessions that came from the networks.
func (w *worker) find(tx *db.Tx) (incident.Action, error) {
	page, err := session.After(tx, w.a.Place, w.a.BeganAt, w.Pace.look())
	if err != nil {
		return w.a, err
	}
	next := w.a
	for _, i := range page {
		next.Place = i.ID
		if !w.o.came(i) {
			continue
		}
		if _, err := incident.AddPerson(tx, w.a.Incident, w.a.ID, i.Account, w.Now()); err != nil {
			return w.a, err
		}
	}
	if len(page) < w.Pace.look() {
		next.State, next.Place = incident.Running, ""
	}
	return next, nil
}

// came reports whether a session began in one of the networks, or was last used there, since the time that is said.
func (o Order) came(i session.Info) bool {
	if !o.Since.IsZero() && i.UsedAt.Before(o.Since) {
		return false
	}
	return from(o.Networks, i.Address) || from(o.Networks, i.FirstAddress)
}

func from(networks []netip.Prefix, address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a.Unmap()) })
}

// endSessions ends the next of the sessions that are meant.
func (w *worker) endSessions(tx *db.Tx) (incident.Action, error) {
	last, n, err := w.act.EndBatch(tx, w.o.which(), w.a.Place, w.by.Origin)
	if err != nil {
		return w.a, err
	}
	if last == "" {
		return w.finished(w.a), nil
	}
	return advanced(w.a, last, Touched{"sessions": int64(n)}), nil
}

// endGrants ends the next of what an application was granted; people are asked to sign in to it again. One that is gone has nothing left.
func (w *worker) endGrants(tx *db.Tx) (incident.Action, error) {
	c, err := client.Find(tx, w.o.Client, w.Now())
	if fault.KindOf(err) == fault.NotFound {
		return w.finished(w.a), nil
	}
	if err != nil {
		return w.a, err
	}
	ended, err := grant.EndAll(tx, c.ID, session.WhyRevoked, w.Now(), w.Pace.look())
	if err := flow.EndGrants(tx, w.act.Revoked, ended, err); err != nil {
		return w.a, err
	}
	if len(ended) == 0 {
		return w.finished(w.a), nil
	}
	return advanced(w.a, round(w.a.Place), Touched{"grants": int64(len(ended))}), nil
}

// voidAll makes void what there was of everybody when the action began.
func (w *worker) voidAll(tx *db.Tx) (incident.Action, error) {
	tickets, err := ticket.VoidMade(tx, w.a.BeganAt, w.Pace.look())
	if err != nil {
		return w.a, err
	}
	unlocks, err := lockout.VoidMadeLinks(tx, w.a.BeganAt.Add(lockout.LinkLife), w.Pace.look())
	if err != nil {
		return w.a, err
	}
	waiting, err := factor.VoidPending(tx, "", w.a.BeganAt, w.Pace.look())
	if err != nil {
		return w.a, err
	}
	if tickets+unlocks+waiting == 0 {
		return w.finished(w.a), nil
	}
	return advanced(w.a, round(w.a.Place), Touched{"links": tickets + unlocks, "waiting": waiting}), nil
}

// everybody does the action to the next accounts of all.
func (w *worker) everybody(tx *db.Tx) (incident.Action, error) {
	list, err := account.List(tx, w.a.Place, w.Pace.people())
	if err != nil {
		return w.a, err
	}
	touched := Touched{}
	place := w.a.Place
	for _, a := range list {
		place = a.ID
		if a.CreatedAt.After(w.a.BeganAt) {
			continue // it came after what this is about
		}
		if err := w.do(tx, a.ID, touched); err != nil {
			return w.a, err
		}
	}
	if len(list) == 0 {
		return w.finished(w.a), nil
	}
	return advanced(w.a, place, touched), nil
}

// people does the action to the next of those whom it names.
func (w *worker) people(tx *db.Tx) (incident.Action, error) {
	batch := int64(w.Pace.people())
	if w.a.Does == Notify {
		if batch = min(batch, w.allowed()); batch <= 0 {
			return w.a, errLater
		}
	}
	list, err := incident.People(tx, w.a.Incident, w.a.ID, w.a.Place, int(batch))
	if err != nil {
		return w.a, err
	}
	if len(list) == 0 {
		return w.finished(w.a), nil
	}
	touched := Touched{}
	for _, id := range list {
		if err := w.do(tx, id, touched); err != nil {
			return w.a, err
		}
	}
	return advanced(w.a, list[len(list)-1], touched), nil
}

// do does the action to one account, and counts what it touched. Who can't be reached by it is left out, and counted: an
// account that is gone or disabled, and where an administrator does it, they themselves and the last administrator.
func (w *worker) do(tx *db.Tx, id string, touched Touched) error {
	more, err := w.one(tx, id)
	if k := fault.KindOf(err); err != nil && (k == fault.NotFound || k == fault.Conflict || k == fault.Denied) {
		touched["skipped"]++
		return nil
	}
	if err != nil || more == nil {
		return err
	}
	if len(more) > 0 {
		touched["people"]++
	}
	for k, n := range more {
		touched[k] += n
	}
	if _, err := incident.AddPerson(tx, w.a.Incident, w.a.ID, id, w.Now()); err != nil {
		return err
	}
	at := w.Now()
	if w.a.Does == Disable {
		a, err := account.ByID(tx, id)
		if err != nil {
			return err
		}
		at = a.DisabledAt // by which it is known as ours
	}
	return incident.PersonDone(tx, w.a.Incident, w.a.ID, id, at)
}

// one does the action to one account. What it touched is nil where nothing was to be done, and empty where another action
// has done it already, which stands: then it is done by both, and taken back once both are.
func (w *worker) one(tx *db.Tx, id string) (Touched, error) {
	switch w.a.Does {
	case EndSessions:
		n, err := w.act.EndSessionsIn(tx, id, w.by.Origin)
		return Touched{"sessions": int64(n)}, err
	case ResetPasswords:
		_, n, err := w.act.DemandReset(tx, w.links, id, w.by.Origin)
		return Touched{"sessions": int64(n)}, err
	case Disable:
		return w.disable(tx, id)
	case SuspendFactors:
		return w.suspend(tx, id)
	case VoidLinks:
		return w.void(tx, id)
	case Notify:
		return w.notify(tx, id)
	}
	return nil, errors.New("respond: the action has no people: " + w.a.Does)
}

// errDisabled makes an account count as left out.
var errDisabled error = fault.New(fault.Conflict, "account_disabled", "This account is disabled already, for another reason.")

// disable disables an account. One that is disabled for another reason than an incident stays nobody's here.
func (w *worker) disable(tx *db.Tx, id string) (Touched, error) {
	changed, n, err := w.act.DisableIn(tx, w.tell, id, w.by.Origin)
	if err != nil || changed {
		return Touched{"sessions": int64(n)}, err
	}
	if err := account.Hold(tx, id); err != nil {
		return nil, err
	}
	a, err := account.ByID(tx, id)
	if err != nil {
		return nil, err
	}
	if a.DisabledAt.IsZero() { // somebody enabled it in this moment, and nobody else does now
		_, n, err := w.act.DisableIn(tx, w.tell, id, w.by.Origin)
		return Touched{"sessions": int64(n)}, err
	}
	claims, err := incident.Claims(tx, Disable, id, w.a.ID)
	if slices.ContainsFunc(claims, func(c incident.Claim) bool { return c.DoneAt.Equal(a.DisabledAt) }) {
		return Touched{}, err
	}
	return nil, cmp.Or(err, errDisabled)
}

func (w *worker) suspend(tx *db.Tx, id string) (Touched, error) {
	if err := account.Hold(tx, id); err != nil {
		return nil, err
	}
	out, err := factor.ShutsOut(tx, id, w.o.Since)
	if err == nil && out {
		err = w.act.MaySuspend(tx, id)
	}
	if err != nil {
		return nil, err
	}
	s, err := factor.SuspendSince(tx, id, w.o.Since, w.a.BeganAt)
	if err != nil {
		return nil, err
	}
	if !s.Any() {
		already, err := factor.SuspectSince(tx, id, w.o.Since)
		if already {
			return Touched{}, err
		}
		return nil, err
	}
	// A sign-in that waits may have shown one of them already, and waits for an agreement or a passkey that is added: the
	// account's factors have changed, so it is over.
	if err := account.FactorsRemoved(tx, id, 0); err != nil {
		return nil, err
	}
	w.Events.Append(tx, event.Event{
		Kind: event.FactorsSuspended, Outcome: event.Success, Account: id, Origin: w.by.Origin,
		Detail: event.Detail{By: w.by.Who.By(), Actor: w.a.Doer(), Count: s.Apps + s.Keys},
	})
	// Whoever has the factor may have a session by it, and could say there that nobody else has it.
	ended, err := w.act.EndSessionsIn(tx, id, w.by.Origin)
	return Touched{"factors": s.Apps + s.Keys, "codes": s.Codes, "sessions": int64(ended)}, err
}

func (w *worker) void(tx *db.Tx, id string) (Touched, error) {
	if err := account.Hold(tx, id); err != nil {
		return nil, err
	}
	links, err := ticket.VoidOf(tx, id)
	if err != nil {
		return nil, err
	}
	if err := lockout.VoidLinks(tx, id); err != nil {
		return nil, err
	}
	waiting, err := factor.VoidPending(tx, id, w.a.BeganAt, w.Pace.look())
	return Touched{"links": links, "waiting": waiting}, err
}
