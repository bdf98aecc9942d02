package privacy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/feature/account"
	"github.com/gatehouse-auth/gatehouse/internal/feature/erasure"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/hold"
	"github.com/gatehouse-auth/gatehouse/internal/feature/notice"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

// Eraser erases the accounts whose time has come.
type Eraser struct {
	DB     *db.DB
	Flow   *flow.Erasures
	Events *event.Log
	// Ledger notes in every store of backups that an account is being erased, before a row is gone, so that no restore brings it
	// back; nil where there are none.
	Ledger func(ctx context.Context, accountID string) error
	// Seal seals the event log as far as it is committed.
	Seal func(ctx context.Context) error
	// Beside erases what points at an account and is kept by none of the features.
	Beside func(tx *db.Tx, accountID string) error
	Now    func() time.Time

	mu    sync.Mutex
	state State
}

// State is how erasing fares on this replica, for metrics.
type State struct {
	// Erased is how many accounts it has deleted.
	Erased int64
	// Overdue is how many were due for over [Late] when it last looked, and are not gone.
	Overdue int
}

// Late is after how long an account that should be gone is told of.
const Late = 24 * time.Hour

const (
	// atOnce is how many accounts one page has, batch how many rows one transaction deletes.
	atOnce = 100
	batch  = 500
)

// Run erases what is due, one step after the other, until its context ends.
func (e *Eraser) Run(ctx context.Context) error {
	overdue, err := e.beginDue(ctx)
	if err != nil {
		return err
	}
	var failed error
	for after := ""; ; {
		var page []erasure.Running
		err := e.DB.Read(ctx, func(tx *db.Tx) (err error) { page, err = erasure.List(tx, after, atOnce); return err })
		if err != nil {
			return errors.Join(failed, err)
		}
		for _, r := range page {
			after = r.Account
			if err := e.goOn(ctx, r); err != nil { // one that fails keeps no other waiting
				failed = errors.Join(failed, err)
				if e.Now().Sub(r.MovedAt) > Late {
					overdue++
				}
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if len(page) < atOnce {
			break
		}
	}
	e.note(func(s *State) { s.Overdue = overdue })
	return errors.Join(failed, e.lastMails(ctx))
}

// beginDue begins what is due, and returns how many of those that wait for an undo to end are late.
func (e *Eraser) beginDue(ctx context.Context) (late int, err error) {
	for after := (account.Erasure{}); ; {
		var page []account.Erasure
		now := e.Now()
		if err := e.DB.Read(ctx, func(tx *db.Tx) (err error) {
			page, err = account.Erasures(tx, after, now, atOnce)
			return err
		}); err != nil {
			return late, err
		}
		for _, due := range page {
			after = due
			began, err := e.Flow.Begin(ctx, due.Account)
			if err != nil {
				return late, err
			}
			if !began && now.Sub(due.At) > Late {
				late++
			}
		}
		if len(page) < atOnce {
			return late, nil
		}
	}
}

// goOn takes the steps of one erasure that can be taken now.
func (e *Eraser) goOn(ctx context.Context, r erasure.Running) error {
	if r.State == erasure.Done && e.Now().Sub(r.MovedAt) < erasure.Sweep {
		return nil // its time comes with the next run
	}
	var held bool
	if err := e.DB.Read(ctx, func(tx *db.Tx) (err error) { _, held, err = hold.Standing(tx, e.Now()); return err }); err != nil || held {
		return err
	}
	if e.Ledger != nil && r.State == erasure.Erasing {
		if err := e.Ledger(ctx, r.Account); err != nil { // a store that is away is waited for
			return fmt.Errorf("the ledger of the erased: %w", err)
		}
	}
	if err := e.events(ctx, r.Account); err != nil {
		return err
	}
	if err := e.rows(ctx, r.Account); err != nil {
		return err
	}
	if r.State == erasure.Done {
		return e.DB.Write(ctx, func(tx *db.Tx) error { return erasure.End(tx, r.Account, e.Now()) })
	}
	if err := e.Flow.Finish(ctx, r); err != nil {
		return err
	}
	e.note(func(s *State) { s.Erased++ })
	return nil
}

// events erases what points at the person in the log, a batch at a time: each is stated, sealed and only then erased.
// A statement that nothing came of, since the server stopped, is no finding; the batch is stated again.
func (e *Eraser) events(ctx context.Context, accountID string) error {
	for {
		var stated event.Erasure
		err := e.DB.Write(ctx, func(tx *db.Tx) (err error) {
			stated, err = e.Events.StateErasure(tx, accountID, batch, "", event.Origin{RequestID: "job"})
			return err
		})
		if err != nil || stated.Events() == 0 {
			return err
		}
		if err := event.SealUntil(ctx, e.DB, stated.Statement(), e.Seal); err != nil {
			return err
		}
		began := time.Now()
		if err := e.DB.Write(ctx, func(tx *db.Tx) error { return e.Events.Erase(tx, stated) }); err != nil {
			return err
		}
		e.rest(ctx, time.Since(began))
	}
}

// rows deletes what points at the account.
func (e *Eraser) rows(ctx context.Context, accountID string) error {
	for {
		var most int64
		began := time.Now()
		err := e.DB.Write(ctx, func(tx *db.Tx) (err error) {
			if most, err = e.Flow.EraseRows(tx, accountID, batch); err != nil {
				return err
			}
			return e.Beside(tx, accountID)
		})
		if err != nil || most < batch {
			return err
		}
		e.rest(ctx, time.Since(began))
	}
}

// rest leaves the database to others for three times as long as a batch took, and on SQLite, whose one writer is
// everybody's, for nineteen times.
func (e *Eraser) rest(ctx context.Context, took time.Duration) {
	times := time.Duration(3)
	if e.DB.Dialect() == db.SQLite {
		times = 19
	}
	select {
	case <-ctx.Done():
	case <-time.After(times * took):
	}
}

// lastMails gives up those that could not be sent within a day.
func (e *Eraser) lastMails(ctx context.Context) error {
	for more := int64(batch); more == batch; {
		err := e.DB.Write(ctx, func(tx *db.Tx) (err error) { more, err = notice.EraseLast(tx, e.Now(), batch); return err })
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *Eraser) note(change func(*State)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.state)
}

// State returns how erasing fares on this replica.
func (e *Eraser) State() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}
