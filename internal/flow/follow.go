package flow

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/feature/token"
)

// Follow tells applications what has been revoked, so that they can check
// access tokens by themselves.
type Follow struct {
	Revocations *token.Revocations
	// Stopping is closed when this replica stops: nobody waits any longer.
	Stopping <-chan struct{}
	Count    Count
}

// Do returns what is new since the cursor, and waits for it if need be.
func (f *Follow) Do(ctx context.Context, cursor string, wait time.Duration) (token.Followed, error) {
	told, err := f.Revocations.Follow(ctx, cursor, wait, f.Stopping)
	if err == nil && told.Everything {
		f.Count.add("follow", "everything")
		return told, nil
	}
	return told, f.Count.End("follow", err)
}
