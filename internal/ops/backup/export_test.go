package backup

import (
	"context"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
)

// NewImpatientBucket is NewBucket, which waits for nothing between two tries.
func NewImpatientBucket(name string, b *outbound.Bucket) *Bucket {
	return &Bucket{name, b, func(context.Context, time.Duration) error { return nil }}
}

// Blocks says whether the ledger has a block of the network.
func (d *Decisions) Blocks(network string) bool {
	return slices.ContainsFunc(d.entries, func(e entry) bool { return e.What == networkBlocked && e.Of == network })
}
