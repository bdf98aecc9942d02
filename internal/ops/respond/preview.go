package respond

import (
	"context"
	"errors"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/client"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/feature/grant"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/feature/session"
	"github.com/gatehouse-auth/gatehouse/internal/feature/ticket"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// Preview is what an order would touch: counted, and nothing done.
type Preview struct {
	About   About
	Order   string
	Touches Touched
	// Exact is whether that is all: a count may end at a bound.
	Exact bool
	// Sample are some of the people.
	Sample []account.Account
	// Waits is whether somebody else has to approve it first.
	Waits bool
	// Caught is whom the blocks would refuse that may not be meant ([operate.ErrConfirm]): the order must be confirmed. It is
	// nil if they would refuse nobody of that kind.
	Caught error
}

const (
	// sampleSize is how many people a preview names.
	sampleSize = 5
	// countMost is how many sessions a preview reads at most.
	countMost = 100_000
	// countedPeople is of how many people found by networks it counts what it touches: each takes some queries.
	countedPeople = 1000
)

// Preview counts what an order would touch, and does nothing.
func (d *Desk) Preview(ctx context.Context, o Order) (p Preview, err error) {
	ctx, run := d.Count.Begin(ctx, "incidents")
	p, err = d.preview(ctx, o)
	return p, run.End(err)
}

// PreviewFor is [Desk.Preview] for an incident that there is.
func (d *Desk) PreviewFor(ctx context.Context, n int64, o Order) (p Preview, err error) {
	if err := d.DB.Read(ctx, func(tx *db.Tx) error { _, err := incident.ByNumber(tx, n); return err }); err != nil {
		return p, err
	}
	return d.Preview(ctx, o)
}

func (d *Desk) preview(ctx context.Context, o Order) (p Preview, err error) {
	if err := o.check(d.Now()); err != nil {
		return p, err
	}
	p = Preview{Order: o.text(), Touches: Touched{}, Exact: true, Waits: o.approves == nil && d.Waits(o)}
	p.About, _ = FindAbout(o.Does)
	switch o.Does {
	case RotateKeys:
		p.Touches["keys"] = int64(len(o.purposes()))
		return p, nil
	case RotateSecret:
		p.Touches["secrets"] = 1
		return p, d.DB.Read(ctx, func(tx *db.Tx) error { _, err := client.Find(tx, o.Client, d.Now()); return err })
	case EndGrants:
		return p, d.DB.Read(ctx, func(tx *db.Tx) error {
			c, err := client.Find(tx, o.Client, d.Now())
			if err == nil {
				p.Touches["grants"], err = grant.CountClient(tx, c.ID)
			}
			return err
		})
	case Lockdown:
		p.Touches["doors"] = int64(len(o.Doors))
		return p, nil
	case BlockNetworks:
		p.Touches["networks"] = int64(len(o.Networks))
		o.Confirmed = false
		if _, err := d.blocksOf(o); errors.Is(err, operate.ErrConfirm) {
			p.Caught = err
		} else if err != nil {
			return p, err
		}
		return p, d.uses(ctx, o.which(), &p)
	case EndSessions:
		if len(o.Users) == 0 {
			return p, d.uses(ctx, o.which(), &p)
		}
	}
	if o.All {
		return p, d.DB.Read(ctx, func(tx *db.Tx) error { return d.countAll(tx, o, &p) })
	}
	if len(o.Networks) > 0 {
		return p, d.countNetworks(ctx, o, &p)
	}
	return p, d.DB.Read(ctx, func(tx *db.Tx) error { return d.countUsers(tx, o, o.Users, &p) })
}

// uses counts sessions, and whose they are.
func (d *Desk) uses(ctx context.Context, w operate.Which, p *Preview) error {
	people := &operate.People{Core: d.Core, Operator: d.Operator}
	t, err := people.Uses(ctx, w)
	p.Touches["people"], p.Touches["sessions"], p.Exact, p.Sample = t.People, t.Sessions, t.Exact, t.Examples
	return err
}

// countAll counts what an action on everybody touches.
func (d *Desk) countAll(tx *db.Tx, o Order, p *Preview) (err error) {
	now := d.Now()
	switch o.Does {
	case VoidLinks:
		if p.Touches["links"], err = ticket.CountVoidable(tx, "", now); err == nil {
			p.Touches["waiting"], err = factor.CountPending(tx, "", now)
		}
		return err
	case SuspendFactors:
		s, err := factor.AddedSince(tx, "", o.Since)
		p.Touches["factors"], p.Touches["codes"] = s.Apps+s.Keys, s.Codes
		return err
	}
	if p.Touches["people"], err = account.Count(tx); err == nil {
		p.Sample, err = account.List(tx, "", sampleSize)
	}
	return err
}

// countNetworks finds those who came from networks, as the action will, and counts what it touches of the first of them.
func (d *Desk) countNetworks(ctx context.Context, o Order, p *Preview) error {
	var people []string
	for after, read := "", 0; ; {
		var page []session.Info
		if err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
			page, err = session.After(tx, after, d.Now(), lookBatch)
			return err
		}); err != nil {
			return err
		}
		for _, i := range page {
			after = i.ID
			if o.came(i) {
				people = append(people, i.Account)
			}
		}
		if read += len(page); read >= countMost {
			p.Exact = false
			break
		}
		if len(page) < lookBatch {
			break
		}
	}
	slices.Sort(people)
	people = slices.Compact(people)
	some := people[:min(len(people), countedPeople)]
	err := d.DB.Read(ctx, func(tx *db.Tx) error { return d.countUsers(tx, o, some, p) })
	p.Touches["people"], p.Exact = int64(len(people)), p.Exact && len(some) == len(people)
	return err
}

// countUsers counts what an action on named people touches.
func (d *Desk) countUsers(tx *db.Tx, o Order, users []string, p *Preview) error {
	for _, user := range users {
		a, err := account.Find(tx, user)
		if errors.Is(err, account.ErrNotFound) && (len(o.Users) == 0 || o.approves != nil) {
			continue // it is erased, and its session is not yet gone, or the order waited meanwhile
		}
		if errors.Is(err, account.ErrNotFound) {
			return fault.Field("users", "account_not_found", "There is no account %s.", user)
		}
		if err != nil {
			return err
		}
		p.Touches["people"]++
		if len(p.Sample) < sampleSize {
			p.Sample = append(p.Sample, a)
		}
		if err := d.countOne(tx, o, a.ID, p.Touches); err != nil {
			return err
		}
	}
	return nil
}

func (d *Desk) countOne(tx *db.Tx, o Order, id string, t Touched) error {
	switch o.Does {
	case EndSessions, ResetPasswords, Disable:
		list, err := session.List(tx, id, d.Now())
		t["sessions"] += int64(len(list))
		return err
	case SuspendFactors:
		s, err := factor.AddedSince(tx, id, o.Since)
		t["factors"] += s.Apps + s.Keys
		t["codes"] += s.Codes
		return err
	case VoidLinks:
		links, err := ticket.CountVoidable(tx, id, d.Now())
		if err != nil {
			return err
		}
		waiting, err := factor.CountPending(tx, id, d.Now())
		t["links"] += links
		t["waiting"] += waiting
		return err
	}
	return nil
}
