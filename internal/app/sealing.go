package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
)

// eventKeyFile is where the key is kept that the first start makes.
const eventKeyFile = "event_key"

// EventKey returns EVENT_KEY, or the one that is kept beside the data, which it
// makes if need be.
func EventKey(c *config.Config) (string, error) {
	if c.EventKey != "" {
		return c.EventKey.Reveal(), nil
	}
	return keptSecret(c, eventKeyFile)
}

// sealing keeps the event log sealed, signed, anchored and forwarded.
type sealing struct {
	*base
	sealer  *event.Sealer
	noted   bool           // whether all replicas know; whoever seals looks at it
	anchor  *outbound.Sink // nil: none
	forward *outbound.Sink // nil: none

	mu      sync.Mutex
	unsent  error            // why the last checkpoint is not with the anchor
	pending event.Checkpoint // that one
	printed time.Time
}

// newSealing keeps the event log. A key that can't be kept is told, and no reason not
// to serve: then nothing is signed here.
func newSealing(b *base) (capability, error) {
	key, err := EventKey(b.config)
	if err != nil {
		b.log.Warn("The event log is sealed and not signed: its key can't be kept. Set EVENT_KEY, or make the folder writable.", "error", err.Error())
		key = ""
	}
	g := &sealing{base: b, sealer: event.NewSealer(b.db, key, b.now)}
	if err := g.open(); err != nil {
		return capability{}, errors.Join(err, g.close())
	}
	return capability{
		name: "event log", jobs: g.timetable(), metrics: g.metrics(), close: g.close,
		loops: []func(context.Context){func(ctx context.Context) {
			b.tally.Run(ctx, func(err error) {
				b.log.Warn("Events that were counted could not be written; they are kept for the next minute.", "error", err.Error())
			})
		}},
	}, nil
}

// operatorSeal seals the log from an operator's command, as far as events are committed: a
// server that runs may do so at the same time. Without the key it is sealed and not signed; the
// next checkpoint of a server holds it.
func operatorSeal(ctx context.Context, c *config.Config, d *db.DB) error {
	key, err := EventKey(c)
	if err != nil {
		key = ""
	}
	_, err = event.NewSealer(d, key, time.Now).Seal(ctx)
	return err
}

// open opens what the log is sent to.
func (g *sealing) open() (err error) {
	if a := g.config.EventAnchor.Reveal(); a != "" {
		if g.anchor, err = outbound.Open(a); err != nil {
			return fmt.Errorf("EVENT_ANCHOR: %w", err)
		}
	}
	if f := g.config.EventForward.Reveal(); f != "" {
		if g.forward, err = outbound.Open(f); err != nil {
			return fmt.Errorf("EVENT_FORWARD: %w", err)
		}
	}
	return nil
}

// sealLease is how long one replica seals before another may; it works through
// most of it, a second at a time, so that the timetable costs little.
const sealLease = 20 * time.Second

func (g *sealing) timetable() []job.Job {
	list := []job.Job{
		{Name: "seal-events", Every: time.Second, Lease: sealLease, Run: g.seal},
		inBatches(g.db, "thin-checkpoints", time.Hour, func(tx *db.Tx, limit int) (int64, error) {
			return event.ThinCheckpoints(tx, time.Now(), 24*time.Hour, limit)
		}),
	}
	if g.forward != nil {
		list = append(list, job.Job{Name: "forward-events", Every: time.Second, Lease: time.Minute, Run: g.sendEvents})
	}
	return list
}

// seal seals each second until the lease is nearly over.
func (g *sealing) seal(ctx context.Context) error {
	if err := g.recall(ctx); err != nil {
		return err
	}
	g.noted = false // another replica may have noted something since
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for end := time.Now().Add(sealLease * 3 / 4); time.Now().Before(end); {
		c, err := g.sealer.Seal(ctx)
		if err != nil {
			return err
		}
		if c.Note == "" && g.failing() {
			c = g.pending
		}
		if c.Note != "" {
			g.publish(ctx, c)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	return nil
}

// recall tells the sealer what the anchor has, if that can be read.
func (g *sealing) recall(ctx context.Context) error {
	if g.anchor == nil {
		return g.noteAnchor(ctx, nil) // there may have been one
	}
	text, ok, err := g.anchor.Content()
	if err != nil || !ok || text == "" {
		return err
	}
	err = g.sealer.Know(ctx, event.LastCheckpoint(text))
	if f := fault.As(err); f != nil && f.Kind == fault.Invalid {
		return nil // of an earlier origin, or another log's
	}
	return err
}

func (g *sealing) failing() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.unsent != nil
}

// noteAnchor tells all replicas whether the anchor takes checkpoints, if that has
// changed or this replica has only begun to seal.
func (g *sealing) noteAnchor(ctx context.Context, failure error) error {
	if g.noted && (failure != nil) == g.failing() {
		return nil
	}
	err := g.db.Write(ctx, func(tx *db.Tx) error { return event.NoteAnchor(tx, failure != nil, g.now()) })
	g.noted = err == nil
	return err
}

// publish prints a checkpoint, once a minute, and sends it to the anchor. One
// that can't be sent is sent again each second, or the next, which holds all it held.
func (g *sealing) publish(ctx context.Context, c event.Checkpoint) {
	g.mu.Lock()
	print := c.Time.Sub(g.printed) >= time.Minute
	if print {
		g.printed = c.Time
	}
	g.mu.Unlock()
	if print {
		g.log.Info("The event log is sealed and signed.", "size", c.Size, "checkpoint", c.Note)
	}
	if g.anchor == nil {
		return
	}
	err := g.anchor.Send(ctx, []outbound.Line{{Time: c.Time, Text: c.Note}})
	if noting := g.noteAnchor(ctx, err); noting != nil {
		g.log.Warn("That EVENT_ANCHOR fails, or does no more, could not be noted.", "error", noting.Error())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil && g.unsent == nil {
		g.log.Error("The checkpoint of the event log can't be sent to EVENT_ANCHOR; the next one will be.", "error", err.Error())
	}
	g.unsent, g.pending = err, c
}

func (g *sealing) sendEvents(ctx context.Context) error {
	return g.events.Forward(ctx, g.db, "EVENT_FORWARD", func(ctx context.Context, page []event.Sealed, lines []string) error {
		out := make([]outbound.Line, len(lines))
		for i, l := range lines {
			out[i] = outbound.Line{Time: page[i].Time, Text: l}
		}
		return g.forward.Send(ctx, out)
	})
}

func (g *sealing) close() error {
	var err error
	for _, s := range []*outbound.Sink{g.anchor, g.forward} {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return err
}

func (g *sealing) metrics() []prometheus.Collector {
	yes := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	return []prometheus.Collector{
		gauge("gatehouse_event_log_size", "Events in the sealed log, as far as this replica has seen.",
			func() float64 { return float64(g.sealer.State().Size) }),
		gauge("gatehouse_event_log_signed_size", "Events in the newest checkpoint that this replica signed.",
			func() float64 { return float64(g.sealer.State().Signed.Size) }),
		gauge("gatehouse_event_log_contradicted",
			"1 if this replica stopped sealing because the log is not the one that it was: gatehouse events verify tells more.",
			func() float64 { return yes(g.sealer.State().Contradicted != nil) }),
		gauge("gatehouse_event_anchor_failing", "1 if the last checkpoint could not be sent to EVENT_ANCHOR.", func() float64 {
			g.mu.Lock()
			defer g.mu.Unlock()
			return yes(g.unsent != nil)
		}),
	}
}
