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
)

// blocked returns what refuses requests from blocked networks. All listeners that
// strangers reach share it; to ask it costs a look into memory.
func (s *Server) blocked(tally *event.Tally, reg prometheus.Registerer) func(event.Origin) bool {
	refused := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "gatehouse_blocked_requests_total", Help: "Requests refused because their network is blocked.",
	})
	reg.MustRegister(refused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gatehouse_blocks", Help: "Blocked networks that this replica holds in memory.",
	}, func() float64 { return float64(s.blocks.Len()) }))
	return func(from event.Origin) bool {
		if !s.blocks.Has(from.Address) {
			return false
		}
		refused.Inc()
		tally.Add(event.BlockedRequest, "address_blocked", from)
		return true
	}
}

// endBlocks ends blocks whose time is over, and deletes what is left of them.
func endBlocks(d *db.DB, now func() time.Time) []job.Job {
	return []job.Job{
		inBatches(d, "expire-blocks", time.Minute, func(tx *db.Tx, limit int) (int64, error) { return block.Expire(tx, now(), limit) }),
		inBatches(d, "forget-blocks", 10*time.Minute, func(tx *db.Tx, limit int) (int64, error) { return block.Forget(tx, now(), limit) }),
	}
}

// followBlocks reads the changes of blocks until the context ends.
func (s *Server) followBlocks(ctx context.Context) {
	s.blocks.Run(ctx, func(err error) {
		s.log.Error("The blocked networks have changed and can't be read; those known here stay blocked.", "error", err.Error())
	})
}

// OperatorBlocks returns what a command blocks networks with.
func OperatorBlocks(c *config.Config, o *flow.Operator) *flow.Blocks {
	proxies := web.NewProxies(c.TrustedProxies, c.CloudflareProxies, nil)
	return &flow.Blocks{DB: o.DB, Events: o.Events, Proxy: proxies.Overlaps, Now: o.Now}
}
