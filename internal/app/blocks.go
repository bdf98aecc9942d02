package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-auth/gatehouse/internal/base/config"
	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/door/web"
	"github.com/gatehouse-auth/gatehouse/internal/feature/block"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

// blocks keeps networks out. All listeners that strangers reach share it; to ask it
// costs a look into memory.
type blocks struct {
	*base
	list    *block.List
	refused prometheus.Counter
	flow    *operate.Blocks
}

func newBlocks(b *base, proxies *web.Proxies) (*blocks, capability, error) {
	k := &blocks{base: b, list: block.NewList(b.db, b.now), refused: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "gatehouse_blocked_requests_total", Help: "Requests refused because their network is blocked.",
	})}
	k.flow = &operate.Blocks{Core: b.core(), Proxy: proxies.Overlaps, SecondApproves: b.config.SecondApproves()}
	return k, capability{
		name: "blocked networks",
		// Blocks whose time is over end, and what is left of them is deleted.
		jobs: []job.Job{
			inBatches(b.db, "expire-blocks", time.Minute, func(tx *db.Tx, limit int) (int64, error) { return block.Expire(tx, b.now(), limit) }),
			inBatches(b.db, "forget-blocks", 10*time.Minute, func(tx *db.Tx, limit int) (int64, error) { return block.Forget(tx, b.now(), limit) }),
		},
		metrics: []prometheus.Collector{
			k.refused,
			gauge("gatehouse_blocks", "Blocked networks that this replica holds in memory.", func() float64 { return float64(k.list.Len()) }),
		},
		poll: k.list.Poll, begin: k.list.Load, loops: []func(context.Context){k.follow},
	}, nil
}

// blocked refuses requests from blocked networks.
func (k *blocks) blocked(from event.Origin) bool {
	if !k.list.Has(from.Address) {
		return false
	}
	k.refused.Inc()
	k.tally.Add(event.BlockedRequest, "address_blocked", from)
	return true
}

// follow reads the changes of blocks until the context ends.
func (k *blocks) follow(ctx context.Context) {
	k.list.Run(ctx, func(err error) {
		k.log.Error("The blocked networks have changed and can't be read; those known here stay blocked.", "error", err.Error())
	})
}

// OperatorBlocks returns what a command blocks networks with.
func OperatorBlocks(c *config.Config, o *operate.Operator) *operate.Blocks {
	proxies := web.NewProxies(c.TrustedProxies, c.CloudflareProxies, nil)
	return &operate.Blocks{
		Core: flow.Core{DB: o.DB, Events: o.Events, Now: o.Now}, Proxy: proxies.Overlaps, SecondApproves: o.SecondApproves,
	}
}
