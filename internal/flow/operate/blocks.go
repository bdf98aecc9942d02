package operate

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/block"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Blocks blocks networks and ends blocks: administrators do it, and operators, who
// have no identity.
type Blocks struct {
	flow.Core
	// Proxy returns a network of trusted proxies that shares an address with this one.
	Proxy func(netip.Prefix) (netip.Prefix, bool)
	// SecondApproves is as in [Operator].
	SecondApproves bool
}

// NewBlock is what to block.
type NewBlock struct {
	Network, Reason string
	// ExpiresAt is when it ends by itself; zero for never.
	ExpiresAt time.Time
	// Confirmed is for whoever was asked again, and meant it.
	Confirmed bool
}

// ErrConfirm is for a block by which whoever makes it may lock out somebody whom
// they did not mean; its message says whom.
var ErrConfirm = fault.New(fault.Conflict, "confirmation_needed", "")

// Add blocks a network, or gives a block of it another reason and end: added
// reports false then. own are the addresses of whoever asks.
func (f *Blocks) Add(ctx context.Context, in NewBlock, own []netip.Addr, who flow.Identity, from event.Origin) (b block.Block, added bool, err error) {
	ctx, run := f.Count.Begin(ctx, "block")
	b, added, err = f.add(ctx, in, own, who, from)
	return b, added, run.End(err)
}

func (f *Blocks) add(ctx context.Context, in NewBlock, own []netip.Addr, who flow.Identity, from event.Origin) (b block.Block, added bool, err error) {
	if b, err = f.prepare(in, own); err != nil {
		return b, false, err
	}
	if f.SecondApproves && block.Wide(b.Network) {
		return b, false, ErrApproval
	}
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		b, added, err = f.AddIn(tx, b, who, from)
		return err
	})
	return b, added, err
}

// Prepare checks what is to be blocked: see [Blocks.Add].
func (f *Blocks) Prepare(in NewBlock, own []netip.Addr) (block.Block, error) {
	return f.prepare(in, own)
}

// AddIn is [Blocks.Add] within a transaction, of what [Blocks.Prepare] has checked.
func (f *Blocks) AddIn(tx *db.Tx, b block.Block, who flow.Identity, from event.Origin) (is block.Block, added bool, err error) {
	n, err := block.Turn(tx)
	if err != nil {
		return b, false, err
	}
	if is, added, err = block.Add(tx, secret.Random{}, n, b, f.Now()); err == nil {
		f.changed(tx, event.AddressBlocked, event.Detail{Network: is.Network.String()}, is.Reason, who, from)
	}
	return is, added, err
}

// blockBatch bounds the blocks of one transaction, all of which its event names.
const blockBatch = 100

// AddAll blocks many networks, a hundred in a transaction, with one event for
// each of those. It returns how many it added or changed.
func (f *Blocks) AddAll(ctx context.Context, in []NewBlock, own []netip.Addr, from event.Origin) (done int, err error) {
	ctx, run := f.Count.Begin(ctx, "block")
	done, err = f.addAll(ctx, in, own, from)
	return done, run.End(err)
}

func (f *Blocks) addAll(ctx context.Context, in []NewBlock, own []netip.Addr, from event.Origin) (done int, err error) {
	all := make([]block.Block, len(in))
	for i := range in {
		if all[i], err = f.prepare(in[i], own); err != nil {
			return 0, err
		}
		if f.SecondApproves && block.Wide(all[i].Network) {
			return 0, ErrApproval
		}
	}
	for batch := range slices.Chunk(all, blockBatch) {
		err := f.DB.Write(ctx, func(tx *db.Tx) error {
			n, err := block.Turn(tx)
			if err != nil {
				return err
			}
			d := event.Detail{Count: int64(len(batch))}
			for _, b := range batch {
				is, _, err := block.Add(tx, secret.Random{}, n, b, f.Now())
				if err != nil {
					return err
				}
				d.Networks = append(d.Networks, is.Network.String())
			}
			f.changed(tx, event.AddressBlocked, d, "", flow.Identity{}, from)
			return nil
		})
		if err != nil {
			return done, err
		}
		done += len(batch)
	}
	return done, nil
}

func (f *Blocks) prepare(in NewBlock, own []netip.Addr) (b block.Block, err error) {
	if in.Network == "" {
		return b, flow.Required("network")
	}
	if b.Network, err = block.ParseNetwork(in.Network); err != nil {
		return b, err
	}
	if b.Reason, err = block.ParseReason(in.Reason); err != nil {
		return b, err
	}
	if !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(f.Now()) {
		return b, fault.Field("expires_at", "invalid_expiry", "The end lies in the past.")
	}
	b.ExpiresAt = in.ExpiresAt
	if whom := f.caught(b.Network, own); whom != "" && !in.Confirmed {
		again := *ErrConfirm
		again.Message = "A block of " + b.Network.String() + " would refuse " + whom + "."
		return b, &again
	}
	return b, nil
}

// caught says whom a block of the network would refuse that may not be meant, if
// anybody.
func (f *Blocks) caught(n netip.Prefix, own []netip.Addr) string {
	for _, a := range own {
		if n.Contains(a.Unmap().WithZone("")) {
			return "your own address, " + a.String()
		}
	}
	if p, ok := f.Proxy(n); ok {
		return "a trusted proxy, " + p.String()
	}
	if block.Wide(n) {
		return "more of the internet than any attacker has"
	}
	return ""
}

// Remove ends a block, which is named by its id or its network, and returns it.
func (f *Blocks) Remove(ctx context.Context, idOrNetwork string, who flow.Identity, from event.Origin) (b block.Block, err error) {
	ctx, run := f.Count.Begin(ctx, "block")
	err = f.DB.Write(ctx, func(tx *db.Tx) error {
		b, err = f.RemoveIn(tx, idOrNetwork, who, from)
		return err
	})
	return b, run.End(err)
}

// RemoveIn is [Blocks.Remove] within a transaction.
func (f *Blocks) RemoveIn(tx *db.Tx, idOrNetwork string, who flow.Identity, from event.Origin) (b block.Block, err error) {
	n, err := block.Turn(tx)
	if err != nil {
		return b, err
	}
	now := f.Now()
	if b, err = block.Find(tx, idOrNetwork, now); err != nil {
		return b, err
	}
	if _, err := block.Remove(tx, n, b.ID, now); err != nil {
		return b, err
	}
	f.changed(tx, event.AddressUnblocked, event.Detail{Network: b.Network.String()}, "", who, from)
	return b, nil
}

func (f *Blocks) changed(tx *db.Tx, kind event.Kind, d event.Detail, why string, who flow.Identity, from event.Origin) {
	if who.Account != "" {
		action := ActBlock
		if kind == event.AddressUnblocked {
			action = ActUnblock
		}
		recordAction(f.Events, tx, action, Acting{who, why}, event.Event{Session: who.Session, Origin: from, Detail: d})
	}
	d.By, d.Actor = who.By(), who.Account
	f.Events.Append(tx, event.Event{Kind: kind, Outcome: event.Success, Account: who.Account, Session: who.Session, Origin: from, Detail: d})
}

// List returns the newest blocks before the one of an id, if that is not empty, at
// most limit, and whether there are more.
func (f *Blocks) List(ctx context.Context, before string, limit int) (list []block.Block, more bool, err error) {
	ctx, run := f.Count.Begin(ctx, "block")
	err = f.DB.Read(ctx, func(tx *db.Tx) error {
		list, err = block.Page(tx, before, limit+1, f.Now())
		return err
	})
	if more = len(list) > limit; more {
		list = list[:limit]
	}
	return list, more, run.End(err)
}
