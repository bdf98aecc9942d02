package respond

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/block"
	"github.com/gatehouse-auth/gatehouse/internal/feature/incident"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// blocksOf checks the networks that are to be blocked. One confirmation is for all of them, so it is asked for with whom each
// would refuse.
func (d *Desk) blocksOf(o Order) (list []block.Block, err error) {
	var caught []string
	for _, n := range o.Networks {
		in := operate.NewBlock{Network: n.String(), Reason: o.Why, Confirmed: o.Confirmed}
		if o.For > 0 {
			in.ExpiresAt = db.Time(db.Micros(d.Now().Add(o.For)))
		}
		b, err := d.Blocks.Prepare(in, o.Own)
		if f := fault.As(err); f != nil && errors.Is(err, operate.ErrConfirm) {
			caught = append(caught, f.Message)
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	if len(caught) > 0 {
		again := *operate.ErrConfirm
		again.Message = strings.Join(caught, " ")
		return nil, &again
	}
	return list, nil
}

// claim is what a block action keeps of each of its blocks in its place, for the way back: until when it wants the network
// blocked, and what block of it there was before any action, if there was one. Actions that want the same network blocked have
// the same block.
type claim struct {
	Block string    `json:"block"`
	Until time.Time `json:"until,omitzero"` // zero is without end
	Was   *before   `json:"was,omitempty"`
}

// before is a block that was there already.
type before struct {
	Until time.Time `json:"until,omitzero"`
	Why   string    `json:"why"`
}

// later reports whether one end of a block comes after another. The zero time is no end.
func later(a, b time.Time) bool { return !b.IsZero() && (a.IsZero() || a.After(b)) }

// claims are what the block actions but one hold: one that was taken back holds only what there was before it. Whoever calls
// it has the turn of the blocks.
func claims(tx *db.Tx, except string) (list []claim, err error) {
	actions, err := incident.OfKind(tx, BlockNetworks, except)
	for _, a := range actions {
		of, err := claimsOf(a)
		if err != nil {
			return nil, err
		}
		for _, c := range of {
			if a.State == incident.TakenBack {
				c.Until = a.BeganAt
			}
			list = append(list, c)
		}
	}
	return list, err
}

func claimsOf(a incident.Action) (list []claim, err error) {
	err = json.Unmarshal([]byte(a.Place), &list)
	return list, err
}

// end is until when a block is wanted, by any of the claims or from before them, and why it was there before; wanted is false if
// nobody wants it any more.
func end(id string, list []claim, now time.Time) (until time.Time, why string, wanted bool) {
	until = now
	for _, c := range list {
		if c.Block != id {
			continue
		}
		if later(c.Until, until) {
			until, wanted = c.Until, true
		}
		if c.Was != nil && later(c.Was.Until, now) {
			why = c.Was.Why
			if later(c.Was.Until, until) {
				until, wanted = c.Was.Until, true
			}
		}
	}
	return until, why, wanted
}

// block blocks networks. One that is blocked for longer already stays so.
func (d *Desk) block(tx *db.Tx, n int64, o Order, blocks []block.Block, by By) (incident.Action, error) {
	now := d.Now()
	a := incident.Action{State: incident.Finished, BeganAt: now, EndedAt: now, Touched: Touched{"networks": int64(len(blocks))}}
	if _, err := block.Turn(tx); err != nil { // from here on nobody else changes any
		return a, err
	}
	held, err := claims(tx, "")
	if err != nil {
		return a, err
	}
	list := make([]claim, 0, len(blocks))
	for _, b := range blocks {
		c, err := d.blockOne(tx, b, held, by)
		if err != nil {
			return a, err
		}
		list = append(list, c)
	}
	place, err := json.Marshal(list)
	if err != nil {
		return a, err
	}
	a.Place = string(place)
	return d.prepare(tx, n, o, a, by)
}

func (d *Desk) blockOne(tx *db.Tx, b block.Block, held []claim, by By) (claim, error) {
	c := claim{Until: b.ExpiresAt}
	was, err := block.Find(tx, b.Network.String(), d.Now())
	switch {
	case err == nil:
		c.Block = was.ID
		if until, _, ours := end(was.ID, held, d.Now()); !ours || !until.Equal(was.ExpiresAt) {
			c.Was = &before{was.ExpiresAt, was.Reason}
		}
		if !later(b.ExpiresAt, was.ExpiresAt) {
			return c, nil
		}
	case !errors.Is(err, block.ErrUnknown):
		return c, err
	}
	is, _, err := d.Blocks.AddIn(tx, b, by.Who, by.Origin)
	c.Block = is.ID
	return c, err
}

// unblock ends the blocks of an action, as far as nobody else wants them: another action, or whoever had blocked the network
// before. A block that somebody has changed since stays as it is.
func (d *Desk) unblock(tx *db.Tx, a incident.Action, by By) error {
	if _, err := block.Turn(tx); err != nil {
		return err
	}
	own, err := claimsOf(a)
	if err != nil {
		return err
	}
	others, err := claims(tx, a.ID)
	if err != nil {
		return err
	}
	for _, c := range own {
		if err := d.unblockOne(tx, c, others, by); err != nil {
			return err
		}
	}
	return nil
}

func (d *Desk) unblockOne(tx *db.Tx, c claim, others []claim, by By) error {
	now := d.Now()
	is, err := block.Find(tx, c.Block, now)
	if errors.Is(err, block.ErrUnknown) {
		return nil // it has ended
	}
	if err != nil {
		return err
	}
	if until, _, _ := end(c.Block, append(others[:len(others):len(others)], c), now); !until.Equal(is.ExpiresAt) {
		return nil // somebody has changed it
	}
	c.Until = now // what was there before stays wanted
	until, why, wanted := end(c.Block, append(others[:len(others):len(others)], c), now)
	switch {
	case !wanted:
		_, err = d.Blocks.RemoveIn(tx, c.Block, by.Who, by.Origin)
	case !until.Equal(is.ExpiresAt):
		is.ExpiresAt = until
		if why != "" {
			is.Reason = why
		}
		_, _, err = d.Blocks.AddIn(tx, is, by.Who, by.Origin)
	}
	return err
}
