package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"filippo.io/age"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/base/secret"
	"github.com/gatehouse-auth/gatehouse/internal/feature/event"
	"github.com/gatehouse-auth/gatehouse/internal/feature/job"
)

// Lease is the name of the lease under which backups are made and deleted.
const Lease = "backup"

// Keeper looks after the backups of an installation that serves: it makes them one at a
// time, proves them, deletes those that are too many, and keeps a record of it.
type Keeper struct {
	DB     *db.DB
	Events *event.Log
	Jobs   *job.Runner
	// Maker is how a backup is made; Mine and Progress are the keeper's to set.
	Maker Maker
	Trust Trust
	// Keep says which stay; Every is how often one is made, zero for never.
	Keep  Keep
	Every time.Duration
	// Scratch is where backups are drilled.
	Scratch Scratch
	Random  secret.Random
	Now     func() time.Time
}

// By says on whose behalf something is done with backups.
type By struct {
	// Who is "operator" or, for the server itself, empty.
	Who    string
	Origin event.Origin
}

// errBusy is for a backup while another is made.
func errBusy() error {
	return fault.New(fault.Conflict, "backup_running", "Another process is making a backup, or deleting old ones. Wait until it is done; if it died, two minutes.")
}

// Create makes a backup and keeps a record of how that ended. after is called with it
// before another process may make one; nil for nothing.
func (k *Keeper) Create(ctx context.Context, by By, fast bool, progress func(Progress), after func(context.Context, *Made) error) (made *Made, err error) {
	err = k.Jobs.Hold(ctx, Lease, func(ctx context.Context, renew func(context.Context) error) error {
		maker := k.Maker
		maker.Fast, maker.Mine, maker.Progress = fast, renew, progress
		began := k.Now()
		made, err = maker.Make(ctx)
		if ctx.Err() != nil {
			return errors.Join(err, ctx.Err()) // the server stops, or somebody pressed ^C: no failure
		}
		r := Run{Kind: Create, Began: began, Error: text(err)}
		e := event.Event{Kind: event.BackupCreated, Outcome: event.Success, Origin: by.Origin, Detail: event.Detail{By: by.Who, Reason: code(err)}}
		if err == nil {
			m := made.Manifest
			r.Backup, r.Manifest, r.Snapshot, r.Bytes = m.ID, made.SHA256, m.Snapshot, m.Size()
			e.Detail.Backup = m.ID
		} else {
			e.Outcome = event.Failure
		}
		if err := errors.Join(err, k.record(ctx, r, e)); err != nil || after == nil {
			return err
		}
		return after(ctx, made)
	})
	if errors.Is(err, job.ErrHeld) {
		err = errBusy()
	}
	return made, err
}

// record keeps what was done in the table and in the event log, although the caller may have
// no more time.
func (k *Keeper) record(ctx context.Context, r Run, e event.Event) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), db.MaxWrite)
	defer cancel()
	r.Ended = k.Now()
	r.ID = k.Random.ID(r.Ended)
	return k.DB.Write(ctx, func(tx *db.Tx) error {
		if err := Note(tx, r); err != nil {
			return err
		}
		k.Events.Append(tx, e)
		return nil
	})
}

// text is an error's for the record: short, and such as every database takes.
func text(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf("%.1000s", err.Error())
}

// code is an error's code, for an event.
func code(err error) string {
	if err == nil {
		return ""
	}
	if f := fault.As(err); f != nil {
		return f.Code
	}
	return "failed"
}

// Prove opens the first part of a backup with somebody's own key, and keeps a record of it:
// that backups open with the key on the server for a moment proves nothing of the key that
// lies in a safe.
func (k *Keeper) Prove(ctx context.Context, s Store, install, id string, identities []age.Identity, by By) error {
	m, err := readManifest(ctx, s, k.Trust, install, id)
	if err != nil {
		return err
	}
	if len(m.Parts) == 0 {
		return malformed("it has no parts")
	}
	began := k.Now()
	what, err := inspect(ctx, s, m, m.Parts[0], identities)
	if errors.Is(err, errNoIdentity) {
		return needIdentity(m)
	}
	if what != "" {
		return fault.New(fault.Invalid, "backup_changed", fmt.Sprintf("The part %s of the backup is not as it was made: %v.", m.Parts[0].Name, err))
	}
	if err != nil {
		return err
	}
	return k.record(ctx, Run{Kind: Prove, Backup: id, Snapshot: m.Snapshot, Began: began},
		event.Event{Kind: event.BackupKeyProved, Outcome: event.Success, Origin: by.Origin, Detail: event.Detail{By: by.Who, Backup: id}})
}
