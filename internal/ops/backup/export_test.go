package backup

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/outbound"
)

// NewImpatientBucket is NewBucket, which waits for nothing between two tries.
func NewImpatientBucket(name string, b *outbound.Bucket) *Bucket {
	return &Bucket{name, b, func(context.Context, time.Duration) error { return nil }}
}
