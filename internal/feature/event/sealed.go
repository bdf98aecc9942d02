package event

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
)

// How often, and for how long, the log is sealed until it has a statement.
const (
	sealEvery  = 250 * time.Millisecond
	sealWithin = 30 * time.Second
)

var errUnsealed = errors.New("the event that states what is to be deleted was not sealed: some transaction is open for long")

// SealUntil seals the log until it has an event, by its id: what an event states is deleted only once that is sealed. A
// transaction that is open elsewhere can keep it from that for some seconds; it fails after 30.
func SealUntil(ctx context.Context, d *db.DB, id string, seal func(context.Context) error) error {
	for range sealWithin / sealEvery {
		if err := seal(ctx); err != nil {
			return fmt.Errorf("sealing the event log: %w", err)
		}
		var sealed bool
		err := d.Read(ctx, func(tx *db.Tx) error {
			return tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM event_leaf WHERE event_id = $1)`, id).Scan(&sealed)
		})
		if err != nil || sealed {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(sealEvery):
		}
	}
	return errUnsealed
}
